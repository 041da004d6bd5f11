/* What the files of the compiled library share. They include nothing of Python: it is loaded by ctypes. */

#define SLUICE __attribute__((visibility("default")))
