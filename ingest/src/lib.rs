//! Kafka, files and dead letters: where records come from
