// Raw integers of fixed<5,2,TRN,WRAP>, shape (6, 5).
#ifndef FC0_WEIGHTS_H_
#define FC0_WEIGHTS_H_

const signed char fc0_weights[30] = {
    -2, -11, 1, 2, -9,
    10, -7, -7, -14, 5,
    4, -2, -5, 12, 9,
    2, 3, 15, -15, -9,
    -11, -13, -3, -5, 10,
    8, 15, 1, -2, 13};

#endif
