//! Console driver.
