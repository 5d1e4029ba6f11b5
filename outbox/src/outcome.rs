//! What came of one attempt, in the terms that decide what to do next.

use std::time::Duration;

/// What a receiver gave us to find its message again: Slack's channel and timestamp, a mail's root Message-ID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle(pub String);

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Accepted {
        /// The remote message's handle, where the channel has one; `None` keeps the one we had.
        remote: Option<Handle>,
        /// What people should know nevertheless, cleaned: one of several recipients was refused.
        said: Option<Box<str>>,
    },
    /// Too many at once (429): the endpoint pauses, and no attempt is counted.
    Limited {
        /// The receiver's own wish (`Retry-After`).
        after: Option<Duration>,
    },
    /// Worth another try (5xx, network, 4yz).
    Deferred {
        /// The receiver's own wish.
        after: Option<Duration>,
        /// What it said, cleaned.
        said: Box<str>,
    },
    /// The operator must mend the configuration (bad credentials, unknown channel): rows are kept, and one of
    /// them probes every minute.
    Misconfigured {
        /// What it said, cleaned.
        said: Box<str>,
    },
    /// No retry can help this message (4xx, template fault): a dead letter.
    Rejected {
        /// What it said, cleaned.
        said: Box<str>,
    },
    /// The remote message is gone: forget the handle and tell afresh.
    Gone,
}

impl Outcome {
    /// Accepted, with nothing to say against it.
    pub const fn accepted(remote: Option<Handle>) -> Self {
        Self::Accepted { remote, said: None }
    }

    /// The name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Limited { .. } => "limited",
            Self::Deferred { .. } => "deferred",
            Self::Misconfigured { .. } => "misconfigured",
            Self::Rejected { .. } => "rejected",
            Self::Gone => "gone",
        }
    }
}
