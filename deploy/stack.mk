# The stack's targets; the Makefile includes this file.

# Only when given: an empty variable would go before what .env says.
ifneq ($(PREBUILT),)
export MCPMON_PREBUILT := $(PREBUILT)
endif

##@ Stack

.PHONY: up
up: ## Start the whole stack, wait until it is healthy, run the doctor, print the addresses
	@deploy/stack up

.PHONY: doctor
doctor: ## Prove the chain from the exporter to the alert's receiver, step by step
	@deploy/stack doctor

.PHONY: status
status: ## Show the stack's containers
	@deploy/stack status

.PHONY: logs
logs: ## Show the stack's logs, e.g. make logs ARGS="--follow exporter"
	@deploy/stack logs $(ARGS)

.PHONY: demo
demo: ## Start two example MCP servers, one behind mcp-tap, and clients that use them, beside the stack
	@deploy/stack demo

.PHONY: demo-stop
demo-stop: ## End the demo
	@deploy/stack demo-stop

.PHONY: down
down: ## Stop the stack; its data stays, unless ARGS=--volumes
	@deploy/stack down $(ARGS)

.PHONY: images-offline
images-offline: ## Build stand-ins for third-party images from Debian packages, where no registry is reached
	@deploy/stack images-offline

.PHONY: stack
stack: test-deps ## Test the stack on an engine of its own, e.g. make stack ARGS="-k alert"
	cargo build $(PROFILE) $(LOCKED) $(EVERYTHING)
	@MCPMON_PREBUILT="$(abspath $(BINARIES))" $(WITH_DEPS) tests/stack/run $(ARGS)

.PHONY: image-build-test
image-build-test: test-deps ## Test make up in a clean clone of HEAD, our images compiled inside Docker; takes long
	@$(WITH_DEPS) tests/stack/build-image $(ARGS)
