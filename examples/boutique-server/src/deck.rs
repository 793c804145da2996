//! Chance that keeps its promises: a shuffled deck.

use fastrand::Rng;

/// Values that come in a random order, each once before any comes again.
#[derive(Debug)]
pub struct Deck<T> {
    cards: Vec<T>,
    drawn: usize,
}

impl<T: Copy> Deck<T> {
    /// A deck of `cards`, which come again when all were drawn.
    ///
    /// # Panics
    /// Without a card.
    pub fn new(cards: Vec<T>) -> Self {
        assert!(!cards.is_empty(), "a deck needs a card");
        Self { drawn: cards.len(), cards }
    }

    /// The next card; when all are drawn, they are shuffled and begin again.
    pub fn draw(&mut self, rng: &mut Rng) -> T {
        if self.drawn == self.cards.len() {
            rng.shuffle(&mut self.cards);
            self.drawn = 0;
        }
        self.drawn += 1;
        self.cards[self.drawn - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_comes_once_before_any_comes_again() {
        let mut rng = Rng::with_seed(3);
        let mut deck = Deck::new(vec![1, 2, 3, 4, 5]);
        for _ in 0..4 {
            let mut round: Vec<_> = (0..5).map(|_| deck.draw(&mut rng)).collect();
            round.sort_unstable();
            assert_eq!(round, [1, 2, 3, 4, 5]);
        }
    }
}
