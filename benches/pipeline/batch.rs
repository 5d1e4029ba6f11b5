//! The least that our way of reading can cost: whole batches from the partitions' own queues, destroyed unread. What
//! `KafkaLog` does on top of that (a group, offsets, stamps, errors, turns) is not in it.
#![allow(unsafe_code, reason = "rdkafka has no safe call for batches; ingest's `drain` is not public")]

use std::ffi::CString;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::{RDKafkaMessage, RDKafkaQueue};
use rdkafka::{ClientConfig, Offset, TopicPartitionList, bindings};

use crate::load::{Load, PATIENCE};

/// Messages taken at once, as `KafkaLog` does.
const BATCH: usize = 1024;

/// Reads all records of a load and looks at none.
pub(crate) fn read(load: &Load) -> Instant {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &load.topic.bootstrap)
        .set("group.id", "bench-bare-batch")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .expect("a consumer");
    let queues = Queues::of(&consumer, load);
    let mut list = TopicPartitionList::new();
    for partition in 0..load.topic.partitions {
        list.add_partition_offset(&load.topic.name, partition, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&list).expect("partitions can be assigned");
    let mut messages = Vec::with_capacity(BATCH);
    let (mut records, until) = (0, Instant::now() + PATIENCE);
    while records < load.records {
        let mut taken = 0;
        for queue in &queues.0 {
            taken += queues.drain(*queue, &mut messages);
        }
        records += taken as u64;
        if taken == 0 {
            assert!(Instant::now() < until, "only {records} records came");
            // Nothing comes this way but events; it is a nap of the length of `KafkaLog`'s first.
            assert!(consumer.poll(Duration::from_millis(1)).is_none(), "no message comes by the other queue");
        }
    }
    assert_eq!(records, load.records, "all records were read once");
    let end = Instant::now();
    drop(queues);
    consumer.unassign().expect("they were assigned");
    end
}

/// The queues of all partitions; the consumer outlives them, as `read` drops them first.
struct Queues(Vec<*mut RDKafkaQueue>);

impl Queues {
    /// To be called before the partitions are assigned: then librdkafka forwards none of them to the consumer's queue.
    fn of(consumer: &BaseConsumer, load: &Load) -> Self {
        let topic = CString::new(load.topic.name.as_str()).expect("a topic's name");
        let queue = |partition| {
            // SAFETY: a live consumer and a C string for the call; the queue is ours until it is given back in `drop`. A
            // null destination turns forwarding off.
            unsafe {
                let native = consumer.client().native_ptr();
                let queue = bindings::rd_kafka_queue_get_partition(native, topic.as_ptr(), partition);
                assert!(!queue.is_null(), "a partition has a queue");
                bindings::rd_kafka_queue_forward(queue, std::ptr::null_mut());
                queue
            }
        };
        Self((0..load.topic.partitions).map(queue).collect())
    }

    /// Takes a batch without waiting, and destroys it.
    fn drain(&self, queue: *mut RDKafkaQueue, messages: &mut Vec<*mut RDKafkaMessage>) -> usize {
        // SAFETY: the queue is alive and there is room for `BATCH` pointers; of those, `taken` are messages that are
        // ours, each destroyed once.
        unsafe {
            let room = messages.as_mut_ptr();
            let taken = bindings::rd_kafka_consume_batch_queue(queue, 0, room, BATCH);
            let taken = usize::try_from(taken).unwrap_or(0).min(BATCH);
            for at in 0..taken {
                bindings::rd_kafka_message_destroy(*room.add(at));
            }
            taken
        }
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        for queue in &self.0 {
            // SAFETY: the reference is ours, given back once.
            unsafe { bindings::rd_kafka_queue_destroy(*queue) };
        }
    }
}
