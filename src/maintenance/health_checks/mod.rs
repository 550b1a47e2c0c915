//! Active health checks: what a node is asked, when, and what its answer says.
//!
//! They only steer new sessions. A session lives on its node and nowhere else: its requests go there
//! also when all checks fail, because a node that is merely too busy to answer them would lose all
//! its clients to the others, and those would follow.
//!
//! Runs at start, at reload, or on a timer.

mod answer;
mod run;
mod scheduler;

pub(crate) use scheduler::CheckScheduler;
