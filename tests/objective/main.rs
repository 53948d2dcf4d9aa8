//! The objective: costs, engines and networks against an independent reference in f64, and against each other.

mod engines;
mod gradients;
mod reference;
mod resident;
mod stylizer;
