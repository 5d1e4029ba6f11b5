//! Requests in JSON: which values stand for their fields, and what their surroundings say.

use beaconfire_model::Event;

use super::{Around, Walk};
use crate::auto;
use crate::envelope::wrapper;
use crate::json::Value;
use crate::kubernetes;
use crate::layout::Values;
use crate::notes::Notes;
use crate::pick::{Entries, offer_request};
use crate::requests::{self, Family, Fields, Made, slot};
use crate::{Decoded, Format, Reject};

impl<N: Notes, F: FnMut(Decoded<'_>)> Walk<'_, N, F> {
    /// Reads the first value of `text` if it is a request that is known by heart; how many bytes it took.
    pub(super) fn recite(&mut self, text: &str, around: &Around<'_>) -> Option<usize> {
        let mut layouts = std::mem::take(&mut self.buffers.layouts);
        let mut values = Values::none();
        let taken = layouts.recite(text, self.wanted, &mut values).map(|recited| {
            let format = recited.format();
            let unit_micros = requests::unit_micros(format, &recited);
            let forwarded = recited.text(slot::FORWARDED);
            if let Err(reason) = self.request_of((&recited, forwarded), format, unit_micros, around) {
                self.refuse(reason);
            }
            recited.taken
        });
        self.buffers.layouts = layouts;
        taken
    }

    /// Learns from a value that was read, and took `text`.
    pub(super) fn learn(&mut self, value: Value<'_>, text: &str) {
        if self.buffers.layouts.is_due()
            && value.is_object()
            && self.knobs.fields.is_empty()
            && let Some(format) = self.agreed(auto::shape(value))
        {
            let formats = (self.wanted, format);
            self.buffers.layouts.learn(value, text, formats, self.knobs.client_resolved);
        }
    }

    /// The format that a record has the shape of, if it is wanted.
    pub(super) fn agreed(&self, shape: Option<Format>) -> Option<Format> {
        match self.wanted {
            Format::Auto => shape,
            named => shape.filter(|shape| *shape == named),
        }
    }

    pub(super) fn request(
        &mut self,
        object: Value<'_>,
        format: Format,
        around: &Around<'_>,
    ) -> Result<(), Reject> {
        let resolved = self.knobs.client_resolved;
        let mut fields = Fields::none();
        match format {
            Format::Caddy => requests::caddy::offer(object, &mut fields),
            Format::Ecs => requests::semantic::offer(object, resolved, &mut fields),
            _ => offer_request(object, Family::of(format, resolved), &mut fields),
        }
        let unit_micros = requests::unit_micros(format, &fields);
        let may_be_merged = format == Format::Ecs || fields.get(slot::KUBERNETES).is_some();
        let merged = if may_be_merged { merged(object) } else { String::new() };
        let service = if around.service.is_empty() { &merged } else { around.service };
        self.request_at(&fields, format, unit_micros, &Around { service, ..*around })
    }

    /// A request of values that were found.
    pub(super) fn request_at(
        &mut self,
        fields: &Fields<'_>,
        format: Format,
        unit_micros: f64,
        around: &Around<'_>,
    ) -> Result<(), Reject> {
        let mut joined = String::new();
        let forwarded = requests::forwarded(fields, &mut joined);
        self.request_of((fields, forwarded), format, unit_micros, around)
    }

    /// A request of these entries and this X-Forwarded-For.
    pub(super) fn request_of<'t>(
        &mut self,
        (fields, forwarded): (&impl Entries<'t>, &'t str),
        format: Format,
        unit_micros: f64,
        around: &Around<'_>,
    ) -> Result<(), Reject> {
        let time = self.time(fields.entry(slot::TIME), around)?;
        let mut joined = String::new();
        let (namespace, name) = requests::service(format, fields);
        let service = match (namespace, name) {
            (_, "") => around.service,
            ("", name) => name,
            (namespace, name) => {
                kubernetes::join(&mut joined, namespace, name);
                &joined
            }
        };
        let from = if name.is_empty() { "the envelope" } else { fields.key(slot::SERVICE) };
        self.notes.origin("service", || if service.is_empty() { String::new() } else { from.to_owned() });
        let made =
            Made { time, service, forwarded, unit_micros, resolved: requests::is_resolved(format, fields) };
        let request = requests::read(fields, self.knobs, &made, self.notes)?;
        self.hand(Event::Request(request), format);
        Ok(())
    }
}

/// The service that a shipper's metadata name among a record's own keys.
pub(super) fn merged(object: Value<'_>) -> String {
    let mut service = String::new();
    wrapper::read(object).service(&mut service);
    service
}
