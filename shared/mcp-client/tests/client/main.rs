//! The client against real servers of both eras, and against peers that do everything wrong.

mod children;
mod faults;
mod listings;
mod real;
mod slow;
mod support;
