"""Small models of many kinds, each written once and built in both libraries: what porting from PyTorch comes to."""
