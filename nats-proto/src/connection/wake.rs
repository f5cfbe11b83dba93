//! Whether the loop that drives a connection must be woken.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Signal {
    /// Nothing new since the loop looked.
    #[default]
    Idle,
    /// Something new, and nobody was told.
    Due,
    /// Something new, and the loop was told: once is enough until it looks.
    Given,
}

impl Signal {
    fn raise(&mut self) {
        if *self == Self::Idle {
            *self = Self::Due;
        }
    }

    fn take(&mut self) -> bool {
        let due = *self == Self::Due;
        if due {
            *self = Self::Given;
        }
        due
    }
}

/// Two signals, because a loop whose socket is full looks for events and timers, but not for bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wake {
    transmit: Signal,
    attention: Signal,
}

impl Wake {
    /// There is something to write.
    pub(super) fn transmit(&mut self) {
        self.transmit.raise();
    }

    /// There is an event, or the next deadline has come nearer.
    pub(super) fn attention(&mut self) {
        self.attention.raise();
    }

    /// The loop looks for something to write.
    pub(super) fn transmit_polled(&mut self) {
        self.transmit = Signal::Idle;
    }

    /// The loop has seen all events, and looks at the deadline next.
    pub(super) fn attention_polled(&mut self) {
        self.attention = Signal::Idle;
    }

    pub(super) fn take(&mut self) -> bool {
        // Both are taken: one wake serves for both.
        let transmit = self.transmit.take();
        let attention = self.attention.take();
        transmit || attention
    }
}
