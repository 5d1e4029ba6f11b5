//! stub
use crate::config::Channel;
use crate::judge::Judge;
use crate::raw::{self, Raw};
pub(crate) fn channels(
    _judge: &mut Judge<'_>,
    _raw: &Raw,
    _receiver: &raw::Receiver,
) -> Vec<(Channel, bool)> {
    Vec::new()
}
