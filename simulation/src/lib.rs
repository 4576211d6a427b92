//! The real server and the real sessions of peers in a simulated network (turmoil): one thread, one clock that
//! only moves when nobody has anything to do, and everything that is random follows from a seed. So a seed is
//! a whole history, with all its faults, and can be lived through again.

mod checker;
mod faults;
mod history;
mod network;
mod peer;
mod random;
mod run;

pub use run::{Outcome, run};
