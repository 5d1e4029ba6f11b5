//! Transitions in, decisions out. A decision says who is to be throttled, how and until when; enforcers poll for it
//! or are called. Blocking the wrong client is the worst fault this product can have, so everything here errs on
//! the side of doing nothing.

mod allow;
mod board;
mod decision;
mod guard;
mod throttle;

pub use allow::Allows;
pub use board::{Board, Change};
pub use decision::{Action, Decision, DecisionKey, Mode, Origin, Scope};
pub use guard::{Guard, Never, Refusal};
pub use throttle::{RuleThrottle, Standing, Throttle, Verdict};
