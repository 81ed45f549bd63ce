/* kserve_data_type.h: element types as a ModelConfig names them. */
#ifndef SERVICES_KSERVE_DATA_TYPE_H
#define SERVICES_KSERVE_DATA_TYPE_H

#include "proto/dtype.h"
#include "proto/kserve/model_config.pb-c.h"

Inference__DataType kserve_data_type(enum dtype d);

#endif
