//! What a baseline promises: it says what it should of plain cases, nothing of samples it has not seen bends it, a
//! restart changes no bit, and it stays within its size.

mod restart;
mod says;
mod series;
