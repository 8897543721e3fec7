"""One file for each family of techniques: engine in, result out, nothing remembered."""
