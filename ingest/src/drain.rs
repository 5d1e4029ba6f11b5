//! Reading librdkafka's partition queues in batches, without a copy or an allocation for each record. The one module
//! with `unsafe` code; everything it exports is safe to call.
//!
//! rdkafka's own `poll` hands out one message at a time at twice the cost. What is borrowed here instead:
//!
//! - A [`PartitionQueue`] is a counted reference to the queue into which librdkafka fetches one partition. It holds
//!   the client, so the client outlives it. Taking a partition over *before* it is assigned sets the queue's flag for
//!   forwarding by the application, so that librdkafka never forwards it to the consumer's own queue (`poll` would
//!   bring its messages): `rd_kafka_toppar_op_fetch_start` of 2.12.1 looks at that flag.
//! - A [`Batch`] owns the messages it was filled with and holds the client. A [`Message`] borrows from the batch, and
//!   [`Batch::clear`], which destroys the messages, needs the batch exclusively: no borrow can be left.
//!
//! librdkafka is thread safe and ties neither queues nor messages to a thread, so both may move between threads.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use rdkafka::client::{Client as NativeOwner, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaMessage, RDKafkaQueue, RDKafkaRespErr};
use rdkafka::{TopicPartitionList, bindings};

use crate::rebalance::Context;

/// A consumer whose group events come to our [`Context`].
pub(crate) type Client = BaseConsumer<Context>;

/// The queue into which librdkafka fetches one partition.
pub(crate) struct PartitionQueue {
    queue: NonNull<RDKafkaQueue>,
    /// Keeps the client alive for as long as the queue is referenced. Declared last: dropped after `drop` below.
    client: Arc<Client>,
}

// SAFETY: a queue is a counted reference that librdkafka locks itself; `Client` is `Send + Sync`.
unsafe impl Send for PartitionQueue {}

impl PartitionQueue {
    /// Keeps a partition's records in a queue of their own; to be called before the partition is assigned. `None`
    /// where librdkafka cannot make the topic (a name with a NUL byte, no memory).
    pub(crate) fn take_over(client: &Arc<Client>, topic: &str, partition: i32) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        let native = client.client().native_ptr();
        // SAFETY: `native` is a live consumer (we hold an `Arc` of its owner) and `topic` a C string for the call.
        let queue = unsafe { bindings::rd_kafka_queue_get_partition(native, topic.as_ptr(), partition) };
        let queue = NonNull::new(queue)?;
        // SAFETY: `queue` was just made and is ours; a null destination turns forwarding off.
        unsafe { bindings::rd_kafka_queue_forward(queue.as_ptr(), std::ptr::null_mut()) };
        Some(Self { queue, client: client.clone() })
    }
}

impl Drop for PartitionQueue {
    /// Throws away what is left in the queue, which nobody would do as nothing is forwarded: to be dropped before the
    /// partition is given up, so that librdkafka forgets the position that this moves.
    fn drop(&mut self) {
        let mut rest = Batch { messages: Vec::new(), _client: self.client.clone() };
        // Bounded, as a fetch may still add to it; librdkafka's limits keep it below this in all but odd settings.
        for _ in 0..100 {
            if rest.fill(self, 1024, |_| false) == 0 {
                break;
            }
        }
        // SAFETY: the reference is ours, given back once; the client is still alive, `client` goes after this.
        unsafe { bindings::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// One message, or an error that took a message's place in the queue; borrowed from its [`Batch`].
#[derive(Clone, Copy)]
pub(crate) struct Message<'b>(&'b RDKafkaMessage);

impl<'b> Message<'b> {
    /// The error that this is instead of a message.
    pub(crate) fn error(self) -> Option<RDKafkaErrorCode> {
        let error = self.0.err;
        (error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| error.into())
    }

    /// The offset; meaningless for an error.
    pub(crate) fn offset(self) -> i64 {
        self.0.offset
    }

    /// The record's timestamp in milliseconds, where it has one.
    pub(crate) fn stamped(self) -> Option<i64> {
        // SAFETY: the message is alive for `'b`; a null type pointer means that we do not want the type.
        let millis = unsafe { bindings::rd_kafka_message_timestamp(self.0, std::ptr::null_mut()) };
        (millis >= 0).then_some(millis)
    }

    /// The value, or an error's text; `None` is a tombstone.
    pub(crate) fn payload(self) -> Option<&'b [u8]> {
        if self.0.payload.is_null() {
            return None;
        }
        // SAFETY: librdkafka gives `len` readable bytes at `payload` until the message is destroyed, which needs the
        // batch exclusively, and does not write to them meanwhile.
        Some(unsafe { std::slice::from_raw_parts(self.0.payload.cast::<u8>(), self.0.len) })
    }
}

/// Messages that were taken from queues and are ours until they are cleared.
pub(crate) struct Batch {
    messages: Vec<*mut RDKafkaMessage>,
    /// Messages hold references into their client.
    _client: Arc<Client>,
}

// SAFETY: messages are plain memory that librdkafka does not tie to a thread; `Client` is `Send + Sync`.
unsafe impl Send for Batch {}

impl Batch {
    /// An empty batch with room for `capacity` messages.
    pub(crate) fn new(client: Arc<Client>, capacity: usize) -> Self {
        Self { messages: Vec::with_capacity(capacity), _client: client }
    }

    /// How many messages it holds.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Takes at most `most` messages from a queue, without waiting, and keeps those that `keep` wants, in order.
    /// Returns how many were taken.
    pub(crate) fn fill(
        &mut self,
        queue: &PartitionQueue,
        most: usize,
        mut keep: impl FnMut(Message<'_>) -> bool,
    ) -> usize {
        self.messages.reserve(most);
        // SAFETY: the queue is alive, and there is reserved room for `most` pointers behind the messages we have.
        let (room, taken) = unsafe {
            let room = self.messages.as_mut_ptr().add(self.messages.len());
            (room, bindings::rd_kafka_consume_batch_queue(queue.queue.as_ptr(), 0, room, most))
        };
        // Below zero only for a bad argument, which ours are not: nothing was taken.
        let taken = usize::try_from(taken).unwrap_or(0).min(most);
        // Each message is in the vector, or in the rest, or destroyed: never in two places, also where `keep` panics.
        let mut rest = Rest { next: room, left: taken };
        while rest.left > 0 {
            // SAFETY: the rest has a message there. Nothing is moved, as the room is reserved, and a kept pointer lands
            // at or before the place that is read here.
            let message = unsafe { *rest.next };
            // SAFETY: librdkafka handed us this message to own; it is not destroyed before the borrow ends.
            let wanted = keep(Message(unsafe { &*message }));
            rest.pass();
            if wanted {
                self.messages.push(message);
            } else {
                // SAFETY: ours, destroyed once: neither the rest nor the vector has it.
                unsafe { bindings::rd_kafka_message_destroy(message) };
            }
        }
        taken
    }

    /// The message at this place, if there is one.
    pub(crate) fn get(&self, at: usize) -> Option<Message<'_>> {
        // SAFETY: every pointer in `messages` is a message that we own and that lives until `clear`, which cannot
        // run while `self` is borrowed.
        self.messages.get(at).map(|message| Message(unsafe { &**message }))
    }

    /// Destroys the messages.
    pub(crate) fn clear(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: ours, and drained: destroyed once.
            unsafe { bindings::rd_kafka_message_destroy(message) };
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Messages that were taken and not looked at yet. A panic destroys them: librdkafka does not let its client go while
/// anybody holds one.
struct Rest {
    next: *mut *mut RDKafkaMessage,
    left: usize,
}

impl Rest {
    /// Hands the first one over to whoever has read it.
    fn pass(&mut self) {
        // SAFETY: there are `left` pointers from `next` on, so the place behind the first is within or at their end.
        self.next = unsafe { self.next.add(1) };
        self.left -= 1;
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        while self.left > 0 {
            // SAFETY: the pointer is one of `left` that librdkafka wrote.
            let message = unsafe { *self.next };
            self.pass();
            // SAFETY: ours, destroyed once: it was passed over, and nobody else has it.
            unsafe { bindings::rd_kafka_message_destroy(message) };
        }
    }
}

/// The offsets after the first and the last record that librdkafka saw with its last fetch of a partition; no request
/// is made. `None` before the first fetch.
pub(crate) fn seen_end(client: &Client, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: a live client, a C string for the call, and two integers to write to.
    let error = unsafe {
        let native = client.client().native_ptr();
        bindings::rd_kafka_get_watermark_offsets(native, topic.as_ptr(), partition, &mut low, &mut high)
    };
    (error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// The metadata of each element of a list, in its order. rdkafka's own accessor panics where it is not UTF-8, and
/// whoever may commit for the group may write what they like there.
pub(crate) fn metadata(list: &TopicPartitionList) -> Vec<String> {
    let count = list.count();
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: the list is alive and unchanged while borrowed, and has `count` elements at `elems`.
    let elements = unsafe { std::slice::from_raw_parts((*list.ptr()).elems, count) };
    let text = |metadata: *mut std::ffi::c_void, size: usize| {
        if metadata.is_null() || size == 0 {
            return String::new();
        }
        // SAFETY: librdkafka keeps `metadata_size` bytes at `metadata` for as long as the element lives.
        let bytes = unsafe { std::slice::from_raw_parts(metadata.cast::<u8>(), size) };
        String::from_utf8_lossy(bytes).into_owned()
    };
    elements.iter().map(|element| text(element.metadata, element.metadata_size)).collect()
}

/// Commits without waiting; what comes of it reaches the context's `commit_callback`. rdkafka's own asynchronous commit
/// reports to nobody: librdkafka tells a queue or a callback, and it gives it neither.
pub(crate) fn commit(client: &Client, list: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
    let native = client.client().native_ptr();
    // SAFETY: a live consumer; `queue` is a counted reference to its own queue, given back once, and librdkafka keeps
    // its own while the commit is under way; the list is copied during the call. Without a callback, the opaque
    // pointer is never read.
    let error = unsafe {
        let queue = bindings::rd_kafka_queue_get_consumer(native);
        if queue.is_null() {
            return Err(RDKafkaErrorCode::UnknownGroup);
        }
        let error = bindings::rd_kafka_commit_queue(native, list.ptr(), queue, None, std::ptr::null_mut());
        bindings::rd_kafka_queue_destroy(queue);
        error
    };
    if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(error.into()) }
}

/// Makes the embedded broker of this client form groups at once instead of after 3 s.
pub(crate) fn hasten_groups<C: ClientContext>(client: &NativeOwner<C>) {
    // SAFETY: a live client; the cluster lives and dies with it, and the setter only writes an integer.
    unsafe {
        let cluster = bindings::rd_kafka_handle_mock_cluster(client.native_ptr());
        if !cluster.is_null() {
            bindings::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::{Duration, Instant};

    use beaconfire_model::EventTime;
    use prometheus::Registry;
    use rdkafka::{ClientConfig, Offset};

    use super::*;
    use crate::{Broker, Metrics, Produced, Producer};

    /// What was destroyed must not be in the batch, which destroys all it holds.
    #[test]
    fn a_panic_while_a_batch_is_filled_destroys_nothing_twice() {
        let broker = Broker::start(&[("edge", 1)]).unwrap();
        let producer = Producer::open(broker.bootstrap()).unwrap();
        for payload in ["a", "b", "c", "d"] {
            let payload = Some(payload.as_bytes());
            let stamped = Some(EventTime::from_millis(1_767_323_045_000));
            let record =
                Produced { topic: "edge", partition: Some(0), payload, stamped, ..Produced::default() };
            producer.send(record).unwrap();
        }
        producer.flush(Duration::from_secs(15)).unwrap();

        let context = Context::new(0, Metrics::register(&Registry::new()).unwrap());
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker.bootstrap()).set("group.id", "drain");
        let client: Arc<Client> = Arc::new(config.create_with_context(context).unwrap());
        let queue = PartitionQueue::take_over(&client, "edge", 0).unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("edge", 0, Offset::Beginning).unwrap();
        client.assign(&list).unwrap();

        let mut batch = Batch::new(client.clone(), 8);
        let mut seen = 0;
        let begun = Instant::now();
        while seen < 4 {
            assert!(begun.elapsed() < Duration::from_secs(60), "the records came");
            // Keeps the first, throws the second away, panics at the third and reads on.
            let filled = catch_unwind(AssertUnwindSafe(|| {
                batch.fill(&queue, 8, |_| {
                    seen += 1;
                    assert_ne!(seen, 3, "on purpose");
                    seen == 1
                })
            }));
            if filled.is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!((seen, batch.len()), (3, 1));
        assert_eq!(batch.get(0).unwrap().payload(), Some(&b"a"[..]));
        batch.clear();
        client.unassign().unwrap();
    }
}
