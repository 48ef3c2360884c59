//! By which way a figure came: nodes sampled it, it was scraped, somebody sent it. What a decision
//! of the autoscaler rests on is told by it.

/// A way by which figures come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Nodes sample them.
    Sampled,
    /// The API's objects say them.
    Objects,
    Scraped,
    RemoteWrite,
    Otlp,
    /// A recording rule makes them.
    Recorded,
    /// A TiphysMetric asks for them.
    Queried,
}

impl Way {
    pub const ALL: [Self; 7] = [
        Self::Sampled,
        Self::Objects,
        Self::Scraped,
        Self::RemoteWrite,
        Self::Otlp,
        Self::Recorded,
        Self::Queried,
    ];

    /// As rows have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sampled => "sampled",
            Self::Objects => "objects",
            Self::Scraped => "scraped",
            Self::RemoteWrite => "remoteWrite",
            Self::Otlp => "otlp",
            Self::Recorded => "recorded",
            Self::Queried => "queried",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }

    /// For a person: what the figures are.
    pub fn words(self) -> &'static str {
        match self {
            Self::Sampled => "sampled by the nodes",
            Self::Objects => "told by the API's objects",
            Self::Scraped => "scraped",
            Self::RemoteWrite => "sent by remote write",
            Self::Otlp => "sent by OTLP",
            Self::Recorded => "made by a recording rule",
            Self::Queried => "asked by SQL",
        }
    }
}

/// Some ways; none where it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ways(u8);

impl From<Way> for Ways {
    fn from(way: Way) -> Self {
        Self(1 << (way as u8))
    }
}

impl Ways {
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and others.
    pub fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// As rows have them, in one order.
    pub fn names(self) -> Vec<String> {
        let is_one = |way: &Way| self.and(Self::from(*way)) == self;
        Way::ALL.into_iter().filter(is_one).map(|way| way.name().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_a_set_with_names_that_are_read_again() {
        for way in Way::ALL {
            assert_eq!(Way::named(way.name()), Some(way));
            assert_eq!(Ways::from(way).names(), [way.name()]);
        }
        let both = Ways::from(Way::Otlp).and(Way::Scraped.into());
        assert_eq!(both.and(Way::Scraped.into()).names(), ["scraped", "otlp"]);
        assert!(Ways::default().is_empty() && Ways::default().names().is_empty() && !both.is_empty());
        let all = Way::ALL.into_iter().fold(Ways::default(), |all, way| all.and(way.into()));
        assert_eq!(all.names().len(), Way::ALL.len());
        assert_eq!(Way::named("carried by a pigeon"), None);
    }
}
