/* Which interface this library has. Raised, here and in resources/c_library/__init__.py, with every change of a
   function's parameters or of a structure: a library of another build is then not used. */

#include <stdint.h>

#include "c_library.h"

SLUICE int32_t sluice_interface(void)
{
    return 5;
}
