//! Back ends on the host: character devices, block images, networks
