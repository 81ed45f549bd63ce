# native.mk: the extension module of modeld-python (native.h says what it does), where Python's headers are found. It keeps to
# the stable interface, so one file serves every interpreter since 3.9. Without it (NATIVE=0) the worker runs all the same.
NATIVE         ?= auto
PYTHON_INCLUDE := $(if $(filter-out 0,$(NATIVE)),$(shell pkg-config --cflags-only-I python3 2>/dev/null))
SRC_native     := $(wildcard workers/python/native/*.c)
# What it has of the project's own.
NATIVE_OF      := proto/wire.c proto/wire_tables.c proto/codec_pack.c proto/codec_unpack.c proto/field.c proto/dtype.c src/base/seqpacket.c \
                  src/base/clock.c src/base/busy_poll.c
# The worker finds it there. An instrumented one goes elsewhere: an interpreter that was not told beforehand cannot load it.
NATIVE_AT      := $(BUILD)/$(if $(SANITIZE),preloaded/)modeld-python
NATIVE_SO      := $(if $(PYTHON_INCLUDE),$(NATIVE_AT)-native/_native.abi3.so)

$(BUILD)/pic/workers/python/native/%.o $(BUILD)/tidy/workers/python/native/%.ok: CPPFLAGS += $(PYTHON_INCLUDE:-I%=-isystem %)
$(BUILD)/pic/workers/python/native/%.o: CFLAGS += -Wno-deprecated-declarations
$(NATIVE_AT)-native/_native.abi3.so: $(patsubst %.c,$(BUILD)/pic/%.o,$(SRC_native) $(NATIVE_OF))
	@mkdir -p $(@D)
	@echo "  SO      $@"
	$(Q)$(CC) $(LDFLAGS) -shared -o $@ $^
	$(if $(SANITIZE),,@! nm -D --undefined-only $@ | grep -Ev ' _?Py| w |@' || { echo "$@: that is missing" >&2; rm $@; exit 1; })

# The module under the sanitizers: of what is loaded into an interpreter that is not, leaks are not looked for.
.PHONY: native-asan
native-asan: $(NATIVE_SO)
	$(Q)$(if $(NATIVE_SO),ln -sfn $(abspath workers/python/modeld-python) $(NATIVE_AT))
	$(Q)$(if $(NATIVE_SO),LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0 MODELD_TEST_PROGRAM=$(abspath $(NATIVE_AT)) $(PYTHON_TEST) -m pytest -q -p no:cacheprovider -n $(JOBS) \
		tests/unit/python -k 'express or loop or joined')
