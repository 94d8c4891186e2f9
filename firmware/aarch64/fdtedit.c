#include "fw.h"
