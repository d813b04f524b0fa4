"""`make bench`: what the box costs, measured on a running demo. It states numbers and judges none of them."""
