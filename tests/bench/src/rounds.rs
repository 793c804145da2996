//! The method of every benchmark: variants take turns inside each round, and what is asserted is
//! the median of the per-round ratios. A machine that slows down slows all of a round's variants.

/// How often every variant runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) warm_up: usize,
    pub(crate) measured: usize,
}

/// One way to do the work, measured beside the others.
pub(crate) struct Variant<'a, T = f64> {
    pub(crate) name: &'static str,
    run: Box<dyn FnMut() -> anyhow::Result<T> + 'a>,
}

/// A variant's figures, one for each measured round.
#[derive(Debug, Clone)]
pub(crate) struct Samples<T = f64> {
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<T>,
}

impl<'a, T> Variant<'a, T> {
    pub(crate) fn new(
        name: &'static str,
        run: impl FnMut() -> anyhow::Result<T> + 'a,
    ) -> Variant<'a, T> {
        Variant { name, run: Box::new(run) }
    }
}

impl Rounds {
    /// Runs every variant once per round, each round starting with another one.
    pub(crate) fn interleave<T>(
        self,
        variants: &mut [Variant<'_, T>],
    ) -> anyhow::Result<Vec<Samples<T>>> {
        let mut samples: Vec<_> =
            variants.iter().map(|v| Samples { name: v.name, rounds: Vec::new() }).collect();
        for round in 0..self.warm_up + self.measured {
            for turn in 0..variants.len() {
                let place = (round + turn) % variants.len();
                let figure = (variants[place].run)()?;
                if round >= self.warm_up {
                    samples[place].rounds.push(figure);
                }
            }
        }
        Ok(samples)
    }
}

impl<T> Samples<T> {
    /// One number of each round's figure.
    pub(crate) fn map(&self, number: impl FnMut(&T) -> f64) -> Samples {
        Samples { name: self.name, rounds: self.rounds.iter().map(number).collect() }
    }
}

impl Samples {
    pub(crate) fn median(&self) -> f64 {
        median(self.rounds.iter().copied())
    }

    /// The round that other work on the machine disturbed the least: what a limit without a
    /// baseline is held against.
    pub(crate) fn least(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The median of the rounds' ratios to `base`.
    pub(crate) fn ratio_to(&self, base: &Self) -> f64 {
        median(self.rounds.iter().zip(&base.rounds).map(|(ours, base)| ours / base))
    }

    /// The median of the rounds' differences from `base`.
    pub(crate) fn beyond(&self, base: &Self) -> f64 {
        median(self.rounds.iter().zip(&base.rounds).map(|(ours, base)| ours - base))
    }
}

/// The middle value; the mean of the two middle ones for an even number.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 if values.is_empty() => f64::NAN,
        0 => values[middle - 1].midpoint(values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_inside_each_round() {
        let base = Samples { name: "base", rounds: vec![1.0, 10.0, 100.0] };
        let ours = Samples { name: "ours", rounds: vec![2.0, 20.0, 200.0] };
        assert_eq!(ours.ratio_to(&base), 2.0);
        assert_eq!(ours.beyond(&base), 10.0);
        assert_eq!(ours.least(), 2.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.5);
    }

    #[test]
    fn variants_take_turns_and_the_warm_up_is_left_out() {
        let order = std::cell::RefCell::new(String::new());
        let variant = |name: &'static str| {
            Variant::new(name, || {
                order.borrow_mut().push_str(name);
                Ok(order.borrow().len() as f64)
            })
        };
        let rounds = Rounds { warm_up: 1, measured: 2 };
        let samples = rounds.interleave(&mut [variant("a"), variant("b")]).unwrap();
        assert_eq!(*order.borrow(), "abbaab");
        assert_eq!(samples[0].rounds, [4.0, 5.0]);
        assert_eq!(samples[1].rounds, [3.0, 6.0]);
    }
}
