//! Examples of switches made of the dp libraries: see `examples/gateway`.
