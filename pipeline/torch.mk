# libtorch, which makes the steps of training and the scores where DEVICE says so. Included by the Makefile, whose BUILT, BIN,
# deviceName and FORCE it uses. docs/GPU.md tells what it is for.

.PHONY: torch device-check

# Where a training looks for it: unless OVERTOKEN_TORCH is set, the one of `make torch`, of `make peers` or of the
# Python at hand, which is asked once and only where the name of the preset says that it is needed.
presetDevice := $(if $(filter %-torch-cpu,$(PRESET)),torch-cpu,$(if $(filter %-cuda,$(PRESET)),cuda))
ifneq (,$(presetDevice))
  export OVERTOKEN_TORCH := $(shell tools/find-torch $(presetDevice))
endif

# The stamp holds the list that an environment was installed from.
torchDevice = $(or $(deviceName),torch-cpu)
torch: .venv-$(torchDevice)/torch.stamp ## an environment with the PyTorch whose library DEVICE (torch-cpu, cuda) uses
.venv-%/torch.stamp: FORCE
	@cmp -s tools/$*.txt $@ || { [ '$*' = torch-cpu ] && tools/find-torch --peers >/dev/null; } || { rm -f $@; \
	  python3 -m venv .venv-$*; .venv-$*/bin/pip install --quiet --requirement tools/$*.txt; cp tools/$*.txt $@; }

device-check: $(BUILT) ## what a device computes and how fast, beside PyTorch: results/bench/gpu.csv (DEVICE, 8 minutes)
	tools/device-check --bin $(BIN) --device $(or $(deviceName),cuda) --output results/bench/gpu.csv
