//! Tests of the roll-out in a simulated cluster.

mod gates;
mod known_good;
mod leases;
mod properties;
mod world;
