//! Tests of the roll-out in a simulated cluster.

mod gates;
mod leases;
mod properties;
mod world;
