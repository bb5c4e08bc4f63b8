#include "CTokenization.h"
