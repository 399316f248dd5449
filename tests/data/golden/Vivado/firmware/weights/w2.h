// Raw integers of fixed<5,2,TRN,WRAP>, shape (6, 5).
#ifndef W2_H_
#define W2_H_

const signed char w2[30] = {
    14, 4, 5, 12, 2,
    8, 10, -9, -15, -7,
    -7, 11, 13, -16, -1,
    10, -12, 9, -13, -2,
    10, -7, -6, -8, 7,
    -8, 15, -2, -1, 0};

#endif
