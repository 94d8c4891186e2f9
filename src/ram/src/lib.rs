//! Guest memory and the software TLB that points into it
