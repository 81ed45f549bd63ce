# install.mk: `make install [DESTDIR=dir] [PREFIX=dir] [SYSCONFDIR=dir]`. Included by the Makefile.
# What the administrator may have changed (modeld.conf) is never overwritten: a newer version goes
# beside it as modeld.conf.new.

INSTALL    ?= install
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)

install_bin      := $(DESTDIR)$(PREFIX)/bin
install_libexec  := $(DESTDIR)$(PREFIX)/libexec/modeld
install_backends := $(DESTDIR)$(PREFIX)/lib/modeld/backends
install_python   := $(DESTDIR)$(PREFIX)/lib/modeld/python/modeld_worker
install_include  := $(DESTDIR)$(PREFIX)/include/modeld
install_models   := $(DESTDIR)$(PREFIX)/share/modeld/models
install_proto    := $(DESTDIR)$(PREFIX)/share/modeld/proto
install_etc      := $(DESTDIR)$(SYSCONFDIR)/modeld
install_runtime  := $(DESTDIR)$(PREFIX)/lib/modeld/onnxruntime
# What modeld-setup-onnxruntime makes.
install_venv     := $(DESTDIR)$(PREFIX)/lib/modeld/venv
# The one that scripts/setup has got; without it the installed daemon looks where docs/onnxruntime.md says.
ONNXRUNTIME      ?= $(lastword $(wildcard $(BUILD)/venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*))
# Of units.
install_paths    := s|@PREFIX@|$(PREFIX)|; s|@SYSCONFDIR@|$(SYSCONFDIR)|g
install_unit     := $(DESTDIR)$(PREFIX)/lib/systemd/system
install_completion := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
install_man      := $(DESTDIR)$(PREFIX)/share/man

.PHONY: install
install: all  ## install below PREFIX (/usr/local), DESTDIR in front of it
	$(INSTALL) -d $(install_bin) $(install_libexec) $(install_backends) $(install_include) \
		$(install_models) $(install_proto)/kserve $(install_etc) $(install_unit) $(install_python) $(install_python)/client \
		$(install_man)/man1 $(install_man)/man5 $(install_man)/man8 $(install_completion)
	$(INSTALL) -m 755 $(BUILD)/modeld $(BUILD)/modelctl scripts/modeld-setup-onnxruntime $(install_bin)
	$(INSTALL) -m 755 $(BUILD)/modeld-worker $(BUILD)/modeld-python scripts/modeld-take-over $(install_libexec)
	$(INSTALL) -m 644 workers/python/modeld_worker/*.py $(install_python)
	$(INSTALL) -m 644 workers/python/modeld_worker/client/*.py clients/python/modeld/_[a-z]*.py clients/python/modeld/errors.py \
		$(install_python)/client
	$(if $(NATIVE_SO),$(INSTALL) -m 644 $(NATIVE_SO) $(install_python))
	$(if $(BACKENDS),$(INSTALL) -m 644 $(BACKENDS) $(install_backends))
	$(if $(ONNXRUNTIME),$(INSTALL) -d $(install_runtime) && $(INSTALL) -m 644 $(ONNXRUNTIME) $(install_runtime))
	$(INSTALL) -m 644 workers/backend.h $(install_include)
	$(INSTALL) -m 644 proto/*.proto $(install_proto)
	$(INSTALL) -m 644 proto/kserve/*.proto $(install_proto)/kserve
	$(BUILD)/modelctl completion >$(install_completion)/modelctl
	chmod 644 $(install_completion)/modelctl
	$(INSTALL) -m 644 docs/man/modelctl.1 $(install_man)/man1
	$(INSTALL) -m 644 docs/man/modeld.8 docs/man/modeld-worker.8 $(install_man)/man8
	scripts/conf-man conf/modeld.conf >$(install_man)/man5/modeld.conf.5
	chmod 644 $(install_man)/man5/modeld.conf.5
	sed '$(install_paths)' conf/systemd/modeld.service >$(install_unit)/modeld.service
	sed -f conf/systemd/instance.sed conf/systemd/modeld.service | sed '$(install_paths)' >$(install_unit)/modeld@.service
	chmod 644 $(install_unit)/modeld.service $(install_unit)/modeld@.service
	$(INSTALL) -m 644 conf/systemd/modeld.socket conf/systemd/modeld-handoff.socket $(install_unit)
	cp -R conf/models/. $(install_models)
	chmod -R u=rwX,go=rX $(install_models)
	sed 's|^repository = models$$|repository = $(PREFIX)/share/modeld/models|' conf/modeld.conf \
		>$(install_etc)/modeld.conf.new
	chmod 644 $(install_etc)/modeld.conf.new
	@cd $(install_etc) && if [ ! -e modeld.conf ] || cmp -s modeld.conf modeld.conf.new; then \
		mv modeld.conf.new modeld.conf; \
	else \
		echo "kept $(install_etc)/modeld.conf; the new one is modeld.conf.new beside it"; \
	fi

.PHONY: uninstall
uninstall:  ## remove what install put there, but not a configuration that was changed, or models that were added
	rm -f $(install_bin)/modeld $(install_bin)/modelctl $(install_bin)/modeld-setup-onnxruntime $(install_include)/backend.h \
		$(install_unit)/modeld.service $(install_unit)/modeld@.service $(install_unit)/modeld.socket \
		$(install_unit)/modeld-handoff.socket
	rm -f $(install_completion)/modelctl $(install_man)/man1/modelctl.1 $(install_man)/man5/modeld.conf.5 \
		$(install_man)/man8/modeld.8 $(install_man)/man8/modeld-worker.8
	rm -f $(patsubst $(BUILD)/backends/%,$(install_backends)/%,$(BACKENDS))
	rm -rf $(install_libexec) $(install_runtime) $(install_venv) $(install_proto) $(dir $(install_python)) \
		$(patsubst conf/models/%,$(install_models)/%,$(wildcard conf/models/*))
	@sed 's|^repository = models$$|repository = $(PREFIX)/share/modeld/models|' conf/modeld.conf | \
		cmp -s - $(install_etc)/modeld.conf && rm -f $(install_etc)/modeld.conf && rmdir $(install_etc) || true
	rmdir $(install_unit) $(dir $(install_unit)) $(install_include) $(install_backends) $(DESTDIR)$(PREFIX)/lib/modeld \
		$(dir $(install_libexec)) $(install_man)/man1 $(install_man)/man5 $(install_man)/man8 \
		$(install_completion) $(dir $(install_completion)) \
		$(install_models) $(DESTDIR)$(PREFIX)/share/modeld 2>/dev/null || true

.PHONY: tarball
tarball: all  ## what install lays down, as an archive to unpack at /
	rm -rf $(BUILD)/tarball
	$(MAKE) --no-print-directory install DESTDIR=$(BUILD)/tarball
	tar --sort=name --owner=0 --group=0 --numeric-owner -C $(BUILD)/tarball -czf $(BUILD)/modeld-$(VERSION).tar.gz .
	@echo "$(BUILD)/modeld-$(VERSION).tar.gz"

# Of the files that git knows, in a tree of their own: what was built here stays out of it.
deb_tree := $(BUILD)/deb/modeld-$(VERSION)
.PHONY: deb
deb:  ## Debian packages, into $(BUILD)/deb; scripts/setup deb brings what it needs
	rm -rf $(BUILD)/deb
	mkdir -p $(deb_tree)
	git ls-files -z | tar --null -T - -cf - | tar -C $(deb_tree) -xf -
	cp -R conf/debian $(deb_tree)/debian
	sed -i 's/@VERSION@/$(VERSION)/' $(deb_tree)/debian/changelog
	cd $(deb_tree) && env -u MAKEFLAGS -u MAKELEVEL dpkg-buildpackage -b -us -uc
