//! What is computed of histograms: native ones, and classic ones with a series a bucket.
//!
//! All pure. Source of the rules: <https://prometheus.io/docs/specs/native_histograms/>.

mod algebra;
mod buckets;
mod classic;
mod fraction;
mod growth;
mod quantile;
mod reset;
mod text;

pub use algebra::{Incompatible, Total, add, scale, subtract};
pub use buckets::{CUSTOM, all_buckets};
pub use classic::{ClassicBucket, classic_fraction, classic_quantile};
pub use fraction::fraction;
pub use growth::grown;
pub use quantile::{Doubt, deviation, quantile};
pub use reset::is_reset;
pub use text::text;
