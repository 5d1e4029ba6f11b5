//! What is on its way from a worker to the shards: in order, also past full queues and past workers that gave a source
//! up and have freight of it left.

use std::collections::VecDeque;

use beaconfire_model::Source;

use super::Worker;
use crate::{Exchange, Freight};

/// Freight that has not found room in its queue.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Which piece of all.
    piece: u64,
    thread: usize,
    freight: Freight,
}

/// Freight of a source that we gave up, on its way.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) source: Source,
    /// All of it comes before this piece.
    pub(super) before: u64,
    /// With it the shards hear that the source has left.
    pub(super) parts: bool,
}

impl Worker {
    /// Lets freight wait for its queue, behind all that waits already.
    pub(super) fn put(&mut self, thread: usize, freight: Freight) {
        self.waiting.push_back(Waiting { piece: self.pieces, thread, freight });
        self.pieces += 1;
    }

    /// Puts freight that waits into its queues, each thread's in order.
    pub(super) fn hand_on<X: Exchange>(&mut self, exchange: &mut X) {
        self.awaited.retain(|(source, _)| self.registry.is_owed(*source));
        // Who gave a source up did so before it was taken over, so no two workers wait for each other.
        let gate = self.awaited.iter().map(|(_, piece)| *piece).min().unwrap_or(u64::MAX);
        let mut stuck: Vec<usize> = Vec::new();
        let mut left = VecDeque::new();
        while let Some(Waiting { piece, thread, freight }) = self.waiting.pop_front() {
            if piece >= gate || stuck.contains(&thread) {
                left.push_back(Waiting { piece, thread, freight });
            } else if let Err(back) = exchange.send(thread, freight) {
                stuck.push(thread);
                left.push_back(Waiting { piece, thread, freight: *back });
            }
        }
        self.waiting = left;
        let oldest = self.waiting.front().map_or(self.pieces, |waiting| waiting.piece);
        self.owed.retain(|owed| {
            let delivered = owed.before <= oldest;
            if delivered && owed.parts {
                // Not before: what a barrier says may rest on it only where the shards know.
                self.registry.part(owed.source, self.id, || self.tides.remove(owed.source));
            }
            if delivered {
                self.registry.delivered(owed.source);
            }
            !delivered
        });
    }
}
