//! The stages of the flow, in the order in which a change passes through them. A stage knows another one only by the
//! values that it receives from it; `run` alone connects them.

pub mod watch;

pub mod settle;

pub mod named;
pub mod placeholders;
pub mod snapshot;
pub mod tree;

pub mod validate;

pub mod publish;

pub mod process;
pub mod reload;
pub mod rendering;

pub mod verify;
