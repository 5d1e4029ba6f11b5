//! Incidents, outbox, decisions and progress in SQL
