# The executables where a shell finds them, with completions and manual pages. Included by the Makefile,
# whose BIN, BUILT and BUILD_FLAGS it uses.

INSTALL_VARIABLES := PREFIX DESTDIR
PREFIX ?= /usr/local## of install and uninstall: the directory that bin/ and share/ are in
DESTDIR ?=## of install and uninstall: put before PREFIX, for packages

# Writes manual pages from what an executable says of itself; a part of the argument parser's package.
MANUAL := .build/$(CONFIGURATION)/generate-manual

.PHONY: install uninstall
install: $(BUILT) $(MANUAL) ## copy executables, completions and manual pages below PREFIX
	@tools/install $(BIN) $(MANUAL) $(call literal,DESTDIR)$(call literal,PREFIX)

uninstall: ## remove what install has copied below PREFIX, and nothing else
	@tools/install --remove $(call literal,DESTDIR)$(call literal,PREFIX)

$(MANUAL): | deps
	swift build $(BUILD_FLAGS) --product generate-manual

# The tests install too.
test: $(MANUAL)
