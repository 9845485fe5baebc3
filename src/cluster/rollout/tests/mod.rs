//! Tests of the roll-out in a simulated cluster.

mod gates;
mod properties;
mod world;
