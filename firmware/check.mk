# For the Makefile of a directory of blobs, which has set BLOBS and builds them in OUT.

# Builds afresh elsewhere and compares with the committed blobs and their digests in the manifest.
check:
	rm -rf build-check
	$(MAKE) BUILD=build-check OUT=build-check
	set -e; for b in $(BLOBS); do \
	    cmp build-check/$$b $$b; \
	    grep -q "$$(sha256sum < $$b | cut -d ' ' -f 1)" ../MANIFEST.toml; \
	done
	rm -rf build-check
	@echo "these sources build $(BLOBS)"

clean:
	rm -rf build build-check

.PHONY: all check clean
