"""The structured fuzzer's parts: ``mutating`` changes values and bytes, ``grammar`` draws valid ones, ``targets`` judge them."""
