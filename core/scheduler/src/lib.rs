//! The scheduler: queue, cache, filter and score plug-ins, binding.
