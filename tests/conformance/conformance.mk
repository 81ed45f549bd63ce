# onnx's own tests, served by modeld, against ONNX Runtime called directly.
#
#   make conformance                   all of them
#   make conformance SAMPLE=200        so many, evenly spread
#   make conformance X='--only conv --verbose'

.PHONY: conformance
conformance: all  ## onnx's own node and model tests: a table of what is served, refused, wrong; SAMPLE=n, X=options
	$(Q)$(PYTHON_TEST) -W ignore tests/conformance/run.py $(if $(SAMPLE),--sample $(SAMPLE)) $(X)
