# onnx's own tests, served by modeld, against ONNX Runtime called directly.
#
#   make conformance                   all of them
#   make conformance SAMPLE=200        so many, evenly spread
#   make conformance X='--only conv --verbose'
#   make mixed                         50 000 requests for all of them, at random, from 8 threads to two workers
#   make mixed REQUESTS=2000 SAMPLE=60

.PHONY: conformance
conformance: all  ## onnx's own node and model tests: a table of what is served, refused, wrong; SAMPLE=n, X=options
	$(Q)$(PYTHON_TEST) -W ignore tests/conformance/run.py $(if $(SAMPLE),--sample $(SAMPLE)) $(X)

.PHONY: mixed
mixed: all  ## many of these models at once, at random, joined as it happens; REQUESTS=n, SAMPLE=n models
	$(Q)$(PYTHON_TEST) -W ignore tests/conformance/mixed.py $(if $(REQUESTS),--requests $(REQUESTS)) \
		$(if $(SAMPLE),--models $(SAMPLE)) $(X)
