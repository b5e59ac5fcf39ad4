//! The projections over the shop's events, as anybody would declare them.

use anyhow::{Context, Result};

/// The first is the order summary; in this order they are rebuilt together.
pub const ALL: [&str; 10] = [
    "orders",
    "customers",
    "days",
    "lines",
    "products",
    "countries",
    "payments",
    "to_ship",
    "carriers",
    "funnel",
];
/// The order summary with an update by `where` for one event in a hundred.
pub const NAMED: &str = "named_orders";

pub fn text(name: &str) -> Result<&'static str> {
    let known = [
        ("orders", include_str!("projections/orders.toml")),
        ("customers", include_str!("projections/customers.toml")),
        ("days", include_str!("projections/days.toml")),
        ("lines", include_str!("projections/lines.toml")),
        ("products", include_str!("projections/products.toml")),
        ("countries", include_str!("projections/countries.toml")),
        ("payments", include_str!("projections/payments.toml")),
        ("to_ship", include_str!("projections/to_ship.toml")),
        ("carriers", include_str!("projections/carriers.toml")),
        ("funnel", include_str!("projections/funnel.toml")),
        (NAMED, include_str!("projections/named_orders.toml")),
    ];
    let found = known.into_iter().find(|(known, _)| *known == name);
    Ok(found.with_context(|| format!("no projection {name}"))?.1)
}
