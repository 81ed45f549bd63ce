# client.mk: libmodeld, the C client library. Included by the Makefile.
#
#   libmodeld.so.0   only modeld.h's functions are visible; once loaded it stays, for a thread may be left in it (resolve.c)
#   libmodeld.a      one object, whatever it needs of the tree inside, its names local to it
SRC_libmodeld := $(SRC_client) $(addprefix src/base/,buf.c clock.c digits.c err.c host_port.c places.c seqpacket.c traceparent.c tracestate.c utf8.c) shm/view.c \
                 $(addprefix proto/,codec_pack.c codec_unpack.c dtype.c handoff_message.c grpc_frame.c grpc_status.c grpc_timeout.c)
PB_libmodeld  := model_worker
OBJ_libmodeld := $(patsubst %.c,$(BUILD)/pic/%.o,$(SRC_libmodeld)) \
                 $(PB_libmodeld:%=$(BUILD)/pic/gen/proto/%.pb-c.o)
LIBMODELD     := $(BUILD)/libmodeld.so.0 $(BUILD)/libmodeld.so $(BUILD)/libmodeld.a $(BUILD)/libmodeld.pc

# Generated code first: what is compiled here includes it.
$(OBJ_libmodeld): | $(PB_H)
$(BUILD)/pic/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out $(WARN),$(CFLAGS)) -w -fPIC -fvisibility=hidden -c -o $@ $<
$(BUILD)/libmodeld.so.0: $(OBJ_libmodeld) clients/c/libmodeld.map
	@echo "  SO      $@"
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libmodeld.so.0 -Wl$(comma)-z$(comma)nodelete -Wl,--version-script=clients/c/libmodeld.map \
		$(if $(SANITIZE),,-Wl$(comma)-z$(comma)defs) -o $@ $(OBJ_libmodeld) $(LIBS_CLIENT)
$(BUILD)/libmodeld.so: $(BUILD)/libmodeld.so.0
	$(Q)ln -sf libmodeld.so.0 $@
$(BUILD)/libmodeld.a: $(OBJ_libmodeld)
	@echo "  AR      $@"
	$(Q)$(LD) -r -o $(BUILD)/pic/libmodeld.o $(OBJ_libmodeld)
	$(Q)objcopy --localize-hidden $(BUILD)/pic/libmodeld.o
	$(Q)rm -f $@ && $(AR) rcs $@ $(BUILD)/pic/libmodeld.o
$(BUILD)/libmodeld.pc: clients/c/libmodeld.pc.in
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< >$@

.PHONY: libmodeld install-client uninstall-client
libmodeld: $(LIBMODELD)  ## the C client library alone
all: $(LIBMODELD)
# Tests run the example, as a user builds it: by the header alone, with either library; and a C++
# compiler, where there is one, takes the header too.
EXAMPLES := $(BUILD)/examples/infer $(BUILD)/examples/infer-static
unit-client $(UNIT_client): | $(EXAMPLES)
$(BUILD)/examples/infer: clients/c/examples/infer.c clients/c/modeld.h $(BUILD)/libmodeld.so
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 $(WARN) $(LDFLAGS) -Iclients/c -o $@ $< -L$(BUILD) -lmodeld -Wl,-rpath-link,$(BUILD)
	$(Q)! command -v $(CXX) >/dev/null || $(CXX) -Wall -Wextra -Werror -fsyntax-only -xc++ clients/c/modeld.h
$(BUILD)/examples/infer-static: clients/c/examples/infer.c clients/c/modeld.h $(BUILD)/libmodeld.a
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 $(WARN) $(LDFLAGS) -Iclients/c -o $@ $< $(BUILD)/libmodeld.a $(LIBS_CLIENT)
	$(Q)! nm -g --defined-only $(BUILD)/libmodeld.a | grep ' [A-Z] ' | grep -v ' modeld_'
	$(Q)! nm -D --defined-only $(BUILD)/libmodeld.so.0 | grep -v ' modeld_' | grep -v ' LIBMODELD_'

install: install-client
install-client: $(LIBMODELD)
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include
	install -m 644 clients/c/modeld.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(BUILD)/libmodeld.a $(BUILD)/libmodeld.so.0 $(DESTDIR)$(PREFIX)/lib
	ln -sf libmodeld.so.0 $(DESTDIR)$(PREFIX)/lib/libmodeld.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' clients/c/libmodeld.pc.in \
		>$(DESTDIR)$(PREFIX)/lib/pkgconfig/libmodeld.pc
	chmod 644 $(DESTDIR)$(PREFIX)/lib/pkgconfig/libmodeld.pc
uninstall: uninstall-client
uninstall-client:
	rm -f $(DESTDIR)$(PREFIX)/include/modeld.h $(DESTDIR)$(PREFIX)/lib/pkgconfig/libmodeld.pc \
		$(addprefix $(DESTDIR)$(PREFIX)/lib/libmodeld.,a so so.0)
	rmdir $(DESTDIR)$(PREFIX)/lib/pkgconfig 2>/dev/null || true

# The fuzzers of clients/ see clients/ alone (tests/fuzz/fuzz.mk).
FUZZ_LIBS_npy            := modelctl client shm proto base
FUZZ_LIBS_handoff_client := client shm proto base
ifdef FUZZ_OUT
fuzz-libs: $(call lib,modelctl)
endif
