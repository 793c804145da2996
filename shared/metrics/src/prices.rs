//! The price list of language models, for `mcp_llm_cost_usd_total`.

use serde::Deserialize;

use crate::label::TokenType;

const SHIPPED: &str = include_str!("../prices.toml");

/// Prices of language model tokens. Tokens without a price are never counted as free.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices(Vec<Price>);

/// Why a price list was refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPrices {
    /// The text is not TOML, or a field is missing, unknown or of the wrong type.
    #[error("the price list cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A price is negative, infinite or not a number.
    #[error(
        "the price of {provider}/{model} for {kind} is {value}; expected US dollars per million tokens, 0 or more"
    )]
    Value { provider: String, model: String, kind: TokenType, value: f64 },
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    price: Vec<Price>,
}

/// US dollars per million tokens. `model` is a whole name, or a prefix that ends in `*`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    provider: String,
    model: String,
    input: Option<f64>,
    output: Option<f64>,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
}

impl Price {
    fn of(&self, kind: TokenType) -> Option<f64> {
        match kind {
            TokenType::Input => self.input,
            TokenType::Output => self.output,
            TokenType::CacheRead => self.cache_read,
            TokenType::CacheWrite => self.cache_write,
        }
    }

    /// How well the entry fits a model: the length of what matched, a whole name before a prefix.
    fn fit(&self, provider: &str, model: &str) -> Option<(usize, bool)> {
        if self.provider != provider {
            return None;
        }
        match self.model.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix).then_some((prefix.len(), false)),
            None => (self.model == model).then_some((model.len(), true)),
        }
    }
}

impl Prices {
    /// The list that comes with the product.
    pub fn shipped() -> Self {
        Self::parse(SHIPPED).expect("a test reads the shipped price list")
    }

    /// Reads a list in the format of `prices.toml`.
    ///
    /// # Errors
    /// When the text is not such a list, or a price is not a finite number of at least 0.
    pub fn parse(text: &str) -> Result<Self, InvalidPrices> {
        let file: File = toml::from_str(text)?;
        for price in &file.price {
            for &kind in <TokenType as crate::label::Label>::ALL {
                if let Some(value) = price.of(kind).filter(|v| !v.is_finite() || *v < 0.0) {
                    let (provider, model) = (price.provider.clone(), price.model.clone());
                    return Err(InvalidPrices::Value { provider, model, kind, value });
                }
            }
        }
        Ok(Self(file.price))
    }

    /// The cost of `tokens` in US dollars; none when no price is known.
    pub fn cost(&self, provider: &str, model: &str, kind: TokenType, tokens: u64) -> Option<f64> {
        let fits = self.0.iter().filter_map(|p| Some((p.fit(provider, model)?, p)));
        let (_, price) = fits.max_by_key(|(fit, _)| *fit)?;
        Some(price.of(kind)? * tokens as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_list_is_sound() {
        let prices = Prices::shipped();
        let cost = prices.cost("anthropic", "claude-sonnet-4-5", TokenType::Output, 1_000_000);
        assert_eq!(cost, Some(15.0));
    }

    #[test]
    fn the_longest_match_wins_and_an_unknown_price_is_not_free() {
        let list = r#"
            [[price]]
            provider = "p"
            model = "m*"
            input = 1.0
            [[price]]
            provider = "p"
            model = "m-large*"
            input = 4.0
            [[price]]
            provider = "p"
            model = "m-large"
            input = 8.0
        "#;
        let prices = Prices::parse(list).unwrap();
        let cost = |model| prices.cost("p", model, TokenType::Input, 500_000);
        assert_eq!(cost("m-small"), Some(0.5));
        assert_eq!(cost("m-large-2"), Some(2.0));
        assert_eq!(cost("m-large"), Some(4.0));
        assert_eq!(cost("other"), None);
        assert_eq!(prices.cost("p", "m-large", TokenType::Output, 1), None);
    }

    #[test]
    fn a_negative_price_is_refused_by_name() {
        let list = "[[price]]\nprovider='p'\nmodel='m'\noutput=-1.0\n";
        let error = Prices::parse(list).unwrap_err().to_string();
        assert_eq!(
            error,
            "the price of p/m for output is -1; expected US dollars per million tokens, 0 or more"
        );
    }
}
