"""Many devices learn one model together: functions on `Delta`s, and engines that move them."""
