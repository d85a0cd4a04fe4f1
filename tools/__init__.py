"""What stands around the product: the demo on real baskets, benchmarks, generated pictures."""
