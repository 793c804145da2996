//! Who uses a server: its clients, and what each of them is there for.

use super::mix::Mix;
use super::session::{Era, Plan};

/// The clients of one example server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// Those of `examples/boutique-server`.
    Boutique,
    /// Those of `examples/atelier-server`.
    Atelier,
}

const BOUTIQUE: [Plan; 5] = [
    Plan { name: "shop", era: Era::Legacy, workers: 3, mix: Mix::shop },
    Plan { name: "app", era: Era::Auto, workers: 3, mix: Mix::shop },
    Plan { name: "studio", era: Era::Auto, workers: 3, mix: Mix::studio },
    Plan { name: "office", era: Era::Legacy, workers: 2, mix: Mix::studio },
    Plan { name: "stranger", era: Era::Auto, workers: 1, mix: Mix::strange },
];

const ATELIER: [Plan; 4] = [
    Plan { name: "fitter", era: Era::Legacy, workers: 2, mix: Mix::fitting },
    Plan { name: "cutter", era: Era::Auto, workers: 2, mix: Mix::fitting },
    Plan { name: "embroiderer", era: Era::Auto, workers: 2, mix: Mix::embroidery },
    Plan { name: "apprentice", era: Era::Legacy, workers: 1, mix: Mix::clumsy },
];

impl Crowd {
    pub(super) fn plans(self) -> &'static [Plan] {
        match self {
            Self::Boutique => &BOUTIQUE,
            Self::Atelier => &ATELIER,
        }
    }

    /// Whether somebody tries bad tokens: the atelier asks for none.
    pub(super) fn knocks(self) -> bool {
        self == Self::Boutique
    }
}
