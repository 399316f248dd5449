(* keep_hierarchy *)
module neuron_8945c6ca1927 (
  input wire clk,
  input wire [5:0] x0,
  input wire [5:0] x1,
  input wire [5:0] x2,
  input wire [5:0] x3,
  input wire [5:0] x4,
  input wire [5:0] x5,
  output wire [13:0] y
);
  wire [6:0] s5_t = {3'd0, x4[5:2]} + {1'd0, x4[5:0]};
  wire [8:0] s5 = {s5_t, x4[1:0]};
  wire [6:0] s4_t = {2'd0, s5[8:4]} - {1'd0, x4[5:0]};
  wire [10:0] s4 = {s4_t, s5[3:0]};
  wire [9:0] s3_t = s4[10:1] + {4'd0, x3[5:0]};
  wire [10:0] s3 = {s3_t, s4[0:0]};
  reg [10:0] s3_d1; always @(posedge clk) s3_d1 <= s3;
  reg [5:0] x5_d1; always @(posedge clk) x5_d1 <= x5;
  wire [7:0] s2_t = s3_d1[10:3] + {2'd0, x5_d1[5:0]};
  wire [10:0] s2 = {s2_t, s3_d1[2:0]};
  wire [6:0] s8_t = {3'd0, x1[5:2]} + {1'd0, x1[5:0]};
  wire [8:0] s8 = {s8_t, x1[1:0]};
  wire [7:0] s7_t = s8[8:1] + {2'd0, x2[5:0]};
  wire [8:0] s7 = {s7_t, s8[0:0]};
  wire [2:0] s9_t = 3'd0 - 3'd3;
  wire [8:0] s9 = {s9_t, x0[5:0]};
  wire [9:0] s6_t = {1'd0, s7[8:0]} - {{1{s9[8]}}, s9[8:0]};
  wire [9:0] s6 = {s6_t};
  reg [9:0] s6_d1; always @(posedge clk) s6_d1 <= s6;
  wire [10:0] s1_t = {{1{s2[10]}}, s2[10:1]} + {1'd0, s6_d1[9:0]};
  wire [11:0] s1 = {s1_t, s2[0:0]};
  assign y = {{2{s1[11]}}, s1[11:0]};
endmodule

(* keep_hierarchy *)
module shared_0b17c3e6c59f (
  input wire clk,
  input wire [5:0] x0,
  input wire [5:0] x1,
  input wire [5:0] x2,
  input wire [5:0] x3,
  input wire [5:0] x4,
  input wire [5:0] x5,
  output wire [10:0] y,
  output wire [0:0] h1,
  output wire [0:0] h2,
  output wire [0:0] h4,
  output wire [0:0] h6,
  output wire [0:0] c0,
  output wire [0:0] c1,
  output wire [0:0] c2,
  output wire [0:0] c3,
  output wire [0:0] c4
);
  wire [6:0] s1_t = {3'd0, x0[5:2]} + {1'd0, x0[5:0]};
  wire [8:0] s1 = {s1_t, x0[1:0]};
  wire [6:0] s2_t = {2'd0, s1[8:4]} - {1'd0, x0[5:0]};
  wire [10:0] s2 = {s2_t, s1[3:0]};
  wire [6:0] s3_t = {4'd0, x1[5:3]} - {1'd0, x1[5:0]};
  wire [9:0] s3 = {s3_t, x1[2:0]};
  wire [6:0] s4_t = {3'd0, x3[5:2]} - {1'd0, x3[5:0]};
  wire [8:0] s4 = {s4_t, x3[1:0]};
  wire [6:0] s5_t = {3'd0, x4[5:2]} - {1'd0, x4[5:0]};
  wire [8:0] s5 = {s5_t, x4[1:0]};
  wire [5:0] s6_t = {{1{s5[8]}}, s5[8:4]} + x4[5:0];
  wire [9:0] s6 = {s6_t, s5[3:0]};
  wire [6:0] s7_t = {5'd0, x5[5:4]} - {1'd0, x5[5:0]};
  wire [10:0] s7 = {s7_t, x5[3:0]};
  wire [4:0] s10_t = s2[9:5] + 5'd31;
  wire [9:0] s10 = {s10_t, s2[4:0]};
  reg [9:0] s10_d1; always @(posedge clk) s10_d1 <= s10;
  wire [10:0] s11_t = {1'b0, {{1{s3[9]}}, s3[9:1]}} - {1'b0, {4'd0, x2[5:0]}};
  wire [0:0] s11_c = s11_t[10];
  wire [10:0] s11 = {s11_t[9:0], s3[0:0]};
  reg [10:0] s11_d1; always @(posedge clk) s11_d1 <= s11;
  wire [11:0] s9_t = {1'b0, {1'd0, s10_d1[9:0]}} + {1'b0, s11_d1[10:0]};
  wire [0:0] s9_c = s9_t[11];
  wire [10:0] s9 = {s9_t[10:0]};
  wire [11:0] s13_t = {1'b0, {{2{s4[8]}}, s4[8:0]}} + {1'b0, {1'd0, s6[9:0]}};
  wire [0:0] s13_c = s13_t[11];
  wire [10:0] s13 = {s13_t[10:0]};
  reg [10:0] s13_d1; always @(posedge clk) s13_d1 <= s13;
  reg [10:0] s7_d1; always @(posedge clk) s7_d1 <= s7;
  wire [11:0] s12_t = {1'b0, s13_d1[10:0]} + {1'b0, s7_d1[10:0]};
  wire [0:0] s12_c = s12_t[11];
  wire [10:0] s12 = {s12_t[10:0]};
  wire [11:0] s8_t = {1'b0, s9[10:0]} - {1'b0, s12[10:0]};
  wire [0:0] s8_c = s8_t[11];
  wire [10:0] s8 = {s8_t[10:0]};
  assign y = s8[10:0];
  assign h1 = {1{s2[10]}};
  assign h2 = {1{s3[9]}};
  assign h4 = {1{s4[8]}};
  assign h6 = {1{s7[10]}};
  assign c0 = s11_c;
  assign c1 = s9_c;
  assign c2 = s13_c;
  assign c3 = s12_c;
  assign c4 = s8_c;
endmodule

(* keep_hierarchy *)
module copy_8721d0f61af2 (
  input wire clk,
  input wire [0:0] guard,
  input wire [0:0] h1,
  input wire [0:0] h2,
  input wire [0:0] h4,
  input wire [0:0] h6,
  input wire [0:0] c0,
  input wire [0:0] c1,
  input wire [0:0] c2,
  input wire [0:0] c3,
  input wire [0:0] c4,
  output wire [2:0] y
);
  wire [0:0] g_c4 = c4 ^ guard[0];
  wire [0:0] s5 = (1'd0 & ~({1{guard[0]}} & 1'd0)) | ({1{guard[0]}} & 1'd1);
  wire [0:0] s4 = {h2[0:0] ^ s5[0:0] ^ c0};
  reg [0:0] s4_d1; always @(posedge clk) s4_d1 <= s4;
  wire [0:0] s2 = {1'd0 ^ s4_d1[0:0] ^ c1};
  wire [0:0] s8 = (1'd0 & ~({1{guard[0]}} & 1'd0)) | ({1{guard[0]}} & 1'd1);
  wire [0:0] s7 = {h4[0:0] ^ s8[0:0] ^ c2};
  reg [0:0] s7_d1; always @(posedge clk) s7_d1 <= s7;
  reg [0:0] s9; always @(posedge clk) s9 <= guard[0] ? 1'd0 : h6[0:0];
  wire [0:0] s6 = {s7_d1[0:0] ^ s9[0:0] ^ c3};
  wire [2:0] s1_t = {{{1{s2[0]}}, s2[0:0]}, 1'b1} + {~({{1{s6[0]}}, s6[0:0]}), ~g_c4};
  wire [1:0] s1 = {s1_t[2:1]};
  assign y = {{1{s1[1]}}, s1[1:0]};
endmodule

(* keep_hierarchy *)
module vote_0758b94a78a9 (
  input wire [2:0] a0,
  input wire [2:0] a1,
  input wire [2:0] a2,
  output wire [2:0] y,
  output wire [0:0] differ
);
  assign y = (a0 & a1) | (a0 & a2) | (a1 & a2);
  assign differ = |((a0 ^ a1) | (a0 ^ a2));
endmodule

(* keep_hierarchy *)
module neuron_cd4de01c3ca3 (
  input wire clk,
  input wire [5:0] x0,
  input wire [5:0] x1,
  input wire [5:0] x2,
  input wire [5:0] x3,
  input wire [5:0] x4,
  input wire [5:0] x5,
  output wire [13:0] y
);
  wire [2:0] s3_t = {2'd0, x0[5:5]} + 3'd3;
  wire [7:0] s3 = {s3_t, x0[4:0]};
  wire [6:0] s5_t = {4'd0, x1[5:3]} - {1'd0, x1[5:0]};
  wire [9:0] s5 = {s5_t, x1[2:0]};
  wire [6:0] s6_t = {3'd0, x2[5:2]} + {1'd0, x2[5:0]};
  wire [8:0] s6 = {s6_t, x2[1:0]};
  wire [10:0] s4_t = {{1{s5[9]}}, s5[9:0]} - {2'd0, s6[8:0]};
  wire [10:0] s4 = {s4_t};
  wire [10:0] s2_t = {3'd0, s3[7:0]} + s4[10:0];
  wire [10:0] s2 = {s2_t};
  reg [10:0] s2_d1; always @(posedge clk) s2_d1 <= s2;
  wire [6:0] s9_t = {3'd0, x4[5:2]} - {1'd0, x4[5:0]};
  wire [8:0] s9 = {s9_t, x4[1:0]};
  wire [6:0] s10_t = {5'd0, x3[5:4]} - {1'd0, x3[5:0]};
  wire [10:0] s10 = {s10_t, x3[3:0]};
  wire [10:0] s8_t = {{2{s9[8]}}, s9[8:0]} - s10[10:0];
  wire [10:0] s8 = {s8_t};
  wire [10:0] s7_t = s8[10:0] + {5'd0, x5[5:0]};
  wire [10:0] s7 = {s7_t};
  reg [10:0] s7_d1; always @(posedge clk) s7_d1 <= s7;
  wire [11:0] s1_t = {{1{s2_d1[10]}}, s2_d1[10:0]} + {{1{s7_d1[10]}}, s7_d1[10:0]};
  wire [11:0] s1 = {s1_t};
  assign y = {{2{s1[11]}}, s1[11:0]};
endmodule

(* keep_hierarchy *)
module shared_3aff9c50d6ab (
  input wire clk,
  input wire [5:0] x0,
  input wire [5:0] x1,
  input wire [5:0] x2,
  input wire [5:0] x3,
  input wire [5:0] x4,
  input wire [5:0] x5,
  output wire [10:0] y,
  output wire [0:0] h2,
  output wire [0:0] h3,
  output wire [0:0] h4,
  output wire [0:0] c0,
  output wire [0:0] c1,
  output wire [0:0] c2,
  output wire [0:0] c3,
  output wire [0:0] c4
);
  wire [6:0] s1_t = {4'd0, x1[5:3]} - {1'd0, x1[5:0]};
  wire [9:0] s1 = {s1_t, x1[2:0]};
  wire [6:0] s2_t = {3'd0, x2[5:2]} - {1'd0, x2[5:0]};
  wire [8:0] s2 = {s2_t, x2[1:0]};
  wire [6:0] s3_t = {5'd0, x3[5:4]} - {1'd0, x3[5:0]};
  wire [10:0] s3 = {s3_t, x3[3:0]};
  wire [6:0] s4_t = {3'd0, x4[5:2]} + {1'd0, x4[5:0]};
  wire [8:0] s4 = {s4_t, x4[1:0]};
  wire [11:0] s7_t = {1'b0, s3[10:0]} - {1'b0, {2'd0, s4[8:0]}};
  wire [0:0] s7_c = s7_t[11];
  wire [10:0] s7 = {s7_t[10:0]};
  wire [10:0] s6_t = {1'b0, s7[10:1]} - {1'b0, {4'd0, x5[5:0]}};
  wire [0:0] s6_c = s6_t[10];
  wire [10:0] s6 = {s6_t[9:0], s7[0:0]};
  reg [10:0] s6_d1; always @(posedge clk) s6_d1 <= s6;
  wire [4:0] s9_t = {3'd0, x0[5:4]} + 5'd27;
  wire [8:0] s9 = {s9_t, x0[3:0]};
  wire [9:0] s10_t = {1'b0, s1[9:1]} - {1'b0, s2[8:0]};
  wire [0:0] s10_c = s10_t[9];
  wire [9:0] s10 = {s10_t[8:0], s1[0:0]};
  wire [10:0] s8_t = {1'b0, {1'd0, s9[8:0]}} + {1'b0, s10[9:0]};
  wire [0:0] s8_c = s8_t[10];
  wire [9:0] s8 = {s8_t[9:0]};
  reg [9:0] s8_d1; always @(posedge clk) s8_d1 <= s8;
  wire [10:0] s5_t = {1'b0, s6_d1[10:1]} + {1'b0, s8_d1[9:0]};
  wire [0:0] s5_c = s5_t[10];
  wire [10:0] s5 = {s5_t[9:0], s6_d1[0:0]};
  assign y = s5[10:0];
  assign h2 = {1{s1[9]}};
  assign h3 = {1{s2[8]}};
  assign h4 = {1{s3[10]}};
  assign c0 = s7_c;
  assign c1 = s6_c;
  assign c2 = s10_c;
  assign c3 = s8_c;
  assign c4 = s5_c;
endmodule

(* keep_hierarchy *)
module copy_fd1ac2b8ce6f (
  input wire clk,
  input wire [0:0] guard,
  input wire [0:0] h2,
  input wire [0:0] h3,
  input wire [0:0] h4,
  input wire [0:0] c0,
  input wire [0:0] c1,
  input wire [0:0] c2,
  input wire [0:0] c3,
  input wire [0:0] c4,
  output wire [2:0] y
);
  wire [0:0] s4 = (1'd0 & ~({1{guard[0]}} & 1'd0)) | ({1{guard[0]}} & 1'd1);
  wire [0:0] s3 = {h4[0:0] ^ s4[0:0] ^ c0};
  wire [0:0] s2 = {s3[0:0] ^ 1'd0 ^ c1};
  reg [0:0] s2_d1; always @(posedge clk) s2_d1 <= s2;
  wire [0:0] s8 = (h3[0:0] & ~({1{guard[0]}} & 1'd1));
  wire [0:0] s7 = {h2[0:0] ^ s8[0:0] ^ c2};
  wire [0:0] s5 = {1'd0 ^ s7[0:0] ^ c3};
  reg [0:0] s5_d1; always @(posedge clk) s5_d1 <= s5;
  wire [0:0] s1 = {s2_d1[0:0] ^ s5_d1[0:0] ^ c4};
  assign y = {{2{s1[0]}}, s1[0:0]};
endmodule

(* keep_hierarchy *)
module neuron_960f77897aa0 (
  input wire clk,
  input wire [5:0] x0,
  input wire [5:0] x1,
  input wire [5:0] x2,
  input wire [5:0] x3,
  input wire [5:0] x4,
  input wire [5:0] x5,
  output wire [13:0] y
);
  wire [6:0] s4_t = {3'd0, x1[5:2]} + {1'd0, x1[5:0]};
  wire [8:0] s4 = {s4_t, x1[1:0]};
  wire [6:0] s5_t = {4'd0, x2[5:3]} + {1'd0, x2[5:0]};
  wire [9:0] s5 = {s5_t, x2[2:0]};
  wire [9:0] s3_t = {1'd0, s4[8:0]} + s5[9:0];
  wire [9:0] s3 = {s3_t};
  wire [6:0] s7_t = {4'd0, x0[5:3]} + {1'd0, x0[5:0]};
  wire [9:0] s7 = {s7_t, x0[2:0]};
  wire [2:0] s6_t = {1'd0, s7[9:8]} - 3'd5;
  wire [10:0] s6 = {s6_t, s7[7:0]};
  wire [11:0] s2_t = {2'd0, s3[9:0]} - {1'd0, s6[10:0]};
  wire [11:0] s2 = {s2_t};
  reg [11:0] s2_d1; always @(posedge clk) s2_d1 <= s2;
  wire [6:0] s10_t = {3'd0, x5[5:2]} - {1'd0, x5[5:0]};
  wire [8:0] s10 = {s10_t, x5[1:0]};
  wire [5:0] s9_t = {{1{s10[8]}}, s10[8:4]} + x5[5:0];
  wire [9:0] s9 = {s9_t, s10[3:0]};
  wire [6:0] s12_t = {4'd0, x3[5:3]} + {1'd0, x3[5:0]};
  wire [9:0] s12 = {s12_t, x3[2:0]};
  wire [6:0] s13_t = {3'd0, x4[5:2]} + {1'd0, x4[5:0]};
  wire [8:0] s13 = {s13_t, x4[1:0]};
  wire [9:0] s11_t = {1'd0, s12[9:1]} - {1'd0, s13[8:0]};
  wire [10:0] s11 = {s11_t, s12[0:0]};
  wire [11:0] s8_t = {2'd0, s9[9:0]} - {{1{s11[10]}}, s11[10:0]};
  wire [11:0] s8 = {s8_t};
  reg [11:0] s8_d1; always @(posedge clk) s8_d1 <= s8;
  wire [11:0] s1_t = s2_d1[11:0] + s8_d1[11:0];
  wire [11:0] s1 = {s1_t};
  assign y = {{2{s1[11]}}, s1[11:0]};
endmodule

(* keep_hierarchy *)
module status_5bce227dfd9b (
  input wire clk,
  input wire [0:0] clear,
  input wire [0:0] valid,
  input wire [1:0] differ,
  output wire [0:0] flag,
  output wire [15:0] count
);
  wire raised = valid[0] & (|differ);
  reg sticky; always @(posedge clk) sticky <= ~clear[0] & (sticky | raised);
  reg [15:0] counter; always @(posedge clk) counter <= clear[0] ? 16'd0 : counter + {15'd0, raised & (counter != 16'd65535)};
  assign flag = sticky;
  assign count = counter;
endmodule

(* keep_hierarchy *)
module layer_2a006be21f5a (
  input wire clk,
  input wire [35:0] x,
  input wire [2:0] guard,
  input wire [0:0] clear,
  output wire [69:0] y,
  input wire [0:0] valid,
  output wire [0:0] flag,
  output wire [15:0] count
);
  wire [15:0] count_net;
  wire [0:0] flag_net;
  wire [13:0] n0;
  neuron_8945c6ca1927 n0_neuron (.clk(clk), .x0(x[5:0]), .x1(x[11:6]), .x2(x[17:12]), .x3(x[23:18]), .x4(x[29:24]), .x5(x[35:30]), .y(n0));
  (* keep *) wire [0:0] n1_h1;
  (* keep *) wire [0:0] n1_h2;
  (* keep *) wire [0:0] n1_h4;
  (* keep *) wire [0:0] n1_h6;
  (* keep *) wire [0:0] n1_c0;
  (* keep *) wire [0:0] n1_c1;
  (* keep *) wire [0:0] n1_c2;
  (* keep *) wire [0:0] n1_c3;
  (* keep *) wire [0:0] n1_c4;
  wire [10:0] n1_low;
  shared_0b17c3e6c59f n1_shared (.clk(clk), .x0(x[5:0]), .x1(x[11:6]), .x2(x[17:12]), .x3(x[23:18]), .x4(x[29:24]), .x5(x[35:30]), .h1(n1_h1), .h2(n1_h2), .h4(n1_h4), .h6(n1_h6), .c0(n1_c0), .c1(n1_c1), .c2(n1_c2), .c3(n1_c3), .c4(n1_c4), .y(n1_low));
  (* keep *) wire [2:0] n1_y0;
  copy_8721d0f61af2 n1_copy0 (.clk(clk), .guard(guard[0]), .h1(n1_h1), .h2(n1_h2), .h4(n1_h4), .h6(n1_h6), .c0(n1_c0), .c1(n1_c1), .c2(n1_c2), .c3(n1_c3), .c4(n1_c4), .y(n1_y0));
  (* keep *) wire [2:0] n1_y1;
  copy_8721d0f61af2 n1_copy1 (.clk(clk), .guard(guard[1]), .h1(n1_h1), .h2(n1_h2), .h4(n1_h4), .h6(n1_h6), .c0(n1_c0), .c1(n1_c1), .c2(n1_c2), .c3(n1_c3), .c4(n1_c4), .y(n1_y1));
  (* keep *) wire [2:0] n1_y2;
  copy_8721d0f61af2 n1_copy2 (.clk(clk), .guard(guard[2]), .h1(n1_h1), .h2(n1_h2), .h4(n1_h4), .h6(n1_h6), .c0(n1_c0), .c1(n1_c1), .c2(n1_c2), .c3(n1_c3), .c4(n1_c4), .y(n1_y2));
  (* keep *) wire n1_differ;
  (* keep *) wire [2:0] n1_voted;
  vote_0758b94a78a9 n1_voter (.a0(n1_y0), .a1(n1_y1), .a2(n1_y2), .y(n1_voted), .differ(n1_differ));
  wire [13:0] n1 = {n1_voted, n1_low};
  wire [13:0] n2;
  neuron_cd4de01c3ca3 n2_neuron (.clk(clk), .x0(x[5:0]), .x1(x[11:6]), .x2(x[17:12]), .x3(x[23:18]), .x4(x[29:24]), .x5(x[35:30]), .y(n2));
  (* keep *) wire [0:0] n3_h2;
  (* keep *) wire [0:0] n3_h3;
  (* keep *) wire [0:0] n3_h4;
  (* keep *) wire [0:0] n3_c0;
  (* keep *) wire [0:0] n3_c1;
  (* keep *) wire [0:0] n3_c2;
  (* keep *) wire [0:0] n3_c3;
  (* keep *) wire [0:0] n3_c4;
  wire [10:0] n3_low;
  shared_3aff9c50d6ab n3_shared (.clk(clk), .x0(x[5:0]), .x1(x[11:6]), .x2(x[17:12]), .x3(x[23:18]), .x4(x[29:24]), .x5(x[35:30]), .h2(n3_h2), .h3(n3_h3), .h4(n3_h4), .c0(n3_c0), .c1(n3_c1), .c2(n3_c2), .c3(n3_c3), .c4(n3_c4), .y(n3_low));
  (* keep *) wire [2:0] n3_y0;
  copy_fd1ac2b8ce6f n3_copy0 (.clk(clk), .guard(guard[0]), .h2(n3_h2), .h3(n3_h3), .h4(n3_h4), .c0(n3_c0), .c1(n3_c1), .c2(n3_c2), .c3(n3_c3), .c4(n3_c4), .y(n3_y0));
  (* keep *) wire [2:0] n3_y1;
  copy_fd1ac2b8ce6f n3_copy1 (.clk(clk), .guard(guard[1]), .h2(n3_h2), .h3(n3_h3), .h4(n3_h4), .c0(n3_c0), .c1(n3_c1), .c2(n3_c2), .c3(n3_c3), .c4(n3_c4), .y(n3_y1));
  (* keep *) wire [2:0] n3_y2;
  copy_fd1ac2b8ce6f n3_copy2 (.clk(clk), .guard(guard[2]), .h2(n3_h2), .h3(n3_h3), .h4(n3_h4), .c0(n3_c0), .c1(n3_c1), .c2(n3_c2), .c3(n3_c3), .c4(n3_c4), .y(n3_y2));
  (* keep *) wire n3_differ;
  (* keep *) wire [2:0] n3_voted;
  vote_0758b94a78a9 n3_voter (.a0(n3_y0), .a1(n3_y1), .a2(n3_y2), .y(n3_voted), .differ(n3_differ));
  wire [13:0] n3 = {n3_voted, n3_low};
  wire [13:0] n4;
  neuron_960f77897aa0 n4_neuron (.clk(clk), .x0(x[5:0]), .x1(x[11:6]), .x2(x[17:12]), .x3(x[23:18]), .x4(x[29:24]), .x5(x[35:30]), .y(n4));
  assign y = {n4, n3, n2, n1, n0};
  assign flag = flag_net;
  assign count = count_net;
  status_5bce227dfd9b status (.clk(clk), .clear(clear), .valid(valid), .differ({n1_differ, n3_differ}), .flag(flag_net), .count(count_net));
endmodule

(* keep_hierarchy *)
module relu_f4b92b79fd2c (
  input wire clk,
  input wire [13:0] x0,
  output wire [5:0] y
);
  reg [13:0] x0_d1; always @(posedge clk) x0_d1 <= x0;
  wire [12:0] s3 = x0_d1[12:0];
  wire [12:0] s2 = s3[12:0];
  wire [0:0] s4 = s2[3];
  wire [9:0] s5 = {1'b0, s2[12:4]};
  wire [9:0] s6 = s5 + {9'd0, s4};
  wire [9:0] s7 = s6;
  wire [5:0] s8 = s7[5:0];
  wire [5:0] s1 = x0_d1[13] ? 6'd0 : ((|s6[9:6]) ? 6'd63 : s8);
  assign y = s1;
endmodule

(* keep_hierarchy *)
module layer_162b9e522094 (
  input wire clk,
  input wire [69:0] x0,
  output wire [29:0] y
);
  wire [13:0] x0_0 = x0[13:0];
  wire [13:0] x0_1 = x0[27:14];
  wire [13:0] x0_2 = x0[41:28];
  wire [13:0] x0_3 = x0[55:42];
  wire [13:0] x0_4 = x0[69:56];
  wire [5:0] s1;
  relu_f4b92b79fd2c i_s1 (.clk(clk), .x0(x0_0), .y(s1));
  wire [5:0] s2;
  relu_f4b92b79fd2c i_s2 (.clk(clk), .x0(x0_1), .y(s2));
  wire [5:0] s3;
  relu_f4b92b79fd2c i_s3 (.clk(clk), .x0(x0_2), .y(s3));
  wire [5:0] s4;
  relu_f4b92b79fd2c i_s4 (.clk(clk), .x0(x0_3), .y(s4));
  wire [5:0] s5;
  relu_f4b92b79fd2c i_s5 (.clk(clk), .x0(x0_4), .y(s5));
  assign y = {s5, s4, s3, s2, s1};
endmodule

(* keep_hierarchy *)
module neuron_1047c291426a (
  input wire clk,
  input wire [5:0] x0,
  input wire [5:0] x1,
  input wire [5:0] x2,
  input wire [5:0] x3,
  input wire [5:0] x4,
  output wire [14:0] y
);
  wire [6:0] s5_t = {3'd0, x0[5:2]} + {1'd0, x0[5:0]};
  wire [8:0] s5 = {s5_t, x0[1:0]};
  wire [6:0] s4_t = {2'd0, s5[8:4]} - {1'd0, x0[5:0]};
  wire [10:0] s4 = {s4_t, s5[3:0]};
  wire [3:0] s3_t = s4[10:7] + 4'd1;
  wire [10:0] s3 = {s3_t, s4[6:0]};
  reg [10:0] s3_d1; always @(posedge clk) s3_d1 <= s3;
  wire [6:0] s8_t = {3'd0, x2[5:2]} - {1'd0, x2[5:0]};
  wire [8:0] s8 = {s8_t, x2[1:0]};
  wire [5:0] s7_t = {{1{s8[8]}}, s8[8:4]} + x2[5:0];
  wire [9:0] s7 = {s7_t, s8[3:0]};
  wire [6:0] s9_t = {4'd0, x1[5:3]} - {1'd0, x1[5:0]};
  wire [9:0] s9 = {s9_t, x1[2:0]};
  wire [9:0] s6_t = {1'd0, s7[9:1]} - s9[9:0];
  wire [10:0] s6 = {s6_t, s7[0:0]};
  reg [10:0] s6_d1; always @(posedge clk) s6_d1 <= s6;
  wire [11:0] s2_t = {{1{s3_d1[10]}}, s3_d1[10:0]} + {1'd0, s6_d1[10:0]};
  wire [11:0] s2 = {s2_t};
  wire [6:0] s11_t = {5'd0, x4[5:4]} - {1'd0, x4[5:0]};
  wire [10:0] s11 = {s11_t, x4[3:0]};
  wire [6:0] s12_t = {3'd0, x3[5:2]} - {1'd0, x3[5:0]};
  wire [8:0] s12 = {s12_t, x3[1:0]};
  wire [10:0] s10_t = {{1{s11[10]}}, s11[10:1]} + {{2{s12[8]}}, s12[8:0]};
  wire [11:0] s10 = {s10_t, s11[0:0]};
  reg [11:0] s10_d1; always @(posedge clk) s10_d1 <= s10;
  wire [11:0] s1_t = s2[11:0] + s10_d1[11:0];
  wire [11:0] s1 = {s1_t};
  assign y = {{2{s1[11]}}, s1[11:0], 1'd0};
endmodule

(* keep_hierarchy *)
module shared_c00995efe31f (
  input wire clk,
  input wire [5:0] x0,
  input wire [5:0] x1,
  input wire [5:0] x2,
  input wire [5:0] x3,
  input wire [5:0] x4,
  output wire [11:0] y,
  output wire [0:0] h2,
  output wire [0:0] h4,
  output wire [0:0] h5,
  output wire [0:0] c0,
  output wire [0:0] c1
);
  wire [6:0] s1_t = {4'd0, x1[5:3]} - {1'd0, x1[5:0]};
  wire [9:0] s1 = {s1_t, x1[2:0]};
  wire [6:0] s2_t = {3'd0, x2[5:2]} + {1'd0, x2[5:0]};
  wire [8:0] s2 = {s2_t, x2[1:0]};
  wire [6:0] s3_t = {3'd0, x3[5:2]} - {1'd0, x3[5:0]};
  wire [8:0] s3 = {s3_t, x3[1:0]};
  wire [6:0] s4_t = {4'd0, x4[5:3]} - {1'd0, x4[5:0]};
  wire [9:0] s4 = {s4_t, x4[2:0]};
  wire [6:0] s7 = {1'd1, x0[5:0]};
  wire [9:0] s8_t = {1'd0, s2[8:0]} - s1[9:0];
  wire [9:0] s8 = {s8_t};
  wire [9:0] s6_t = {3'd0, s7[6:0]} + s8[9:0];
  wire [9:0] s6 = {s6_t};
  reg [9:0] s6_d1; always @(posedge clk) s6_d1 <= s6;
  wire [10:0] s9_t = {1'b0, s4[9:0]} - {1'b0, {{1{s3[8]}}, s3[8:0]}};
  wire [0:0] s9_c = s9_t[10];
  wire [9:0] s9 = {s9_t[9:0]};
  reg [9:0] s9_d1; always @(posedge clk) s9_d1 <= s9;
  wire [11:0] s5_t = {1'b0, {1'd0, s6_d1[9:0]}} + {1'b0, {{1{s9_d1[9]}}, s9_d1[9:0]}};
  wire [0:0] s5_c = s5_t[11];
  wire [10:0] s5 = {s5_t[10:0]};
  assign y = {s5[10:0], 1'd0};
  assign h2 = {1{s1[9]}};
  assign h4 = {1{s3[8]}};
  assign h5 = {1{s4[9]}};
  assign c0 = s9_c;
  assign c1 = s5_c;
endmodule

(* keep_hierarchy *)
module copy_3c1f5dd44828 (
  input wire clk,
  input wire [0:0] guard,
  input wire [0:0] h2,
  input wire [0:0] h4,
  input wire [0:0] h5,
  input wire [0:0] c0,
  input wire [0:0] c1,
  output wire [2:0] y
);
  wire [0:0] s4 = (h4[0:0] & ~({1{guard[0]}} & 1'd1));
  wire [0:0] s3 = {h5[0:0] ^ s4[0:0] ^ c0};
  reg [0:0] s3_d1; always @(posedge clk) s3_d1 <= s3;
  wire [0:0] s1 = {1'd0 ^ s3_d1[0:0] ^ c1};
  assign y = {{2{s1[0]}}, s1[0:0]};
endmodule

(* keep_hierarchy *)
module neuron_faec8a7d5831 (
  input wire clk,
  input wire [5:0] x0,
  input wire [5:0] x1,
  input wire [5:0] x2,
  input wire [5:0] x3,
  input wire [5:0] x4,
  output wire [14:0] y
);
  wire [6:0] s4_t = {4'd0, x4[5:3]} - {1'd0, x4[5:0]};
  wire [9:0] s4 = {s4_t, x4[2:0]};
  wire [6:0] s5_t = {3'd0, x3[5:2]} + {1'd0, x3[5:0]};
  wire [8:0] s5 = {s5_t, x3[1:0]};
  wire [10:0] s3_t = {{2{s4[9]}}, s4[9:1]} - {2'd0, s5[8:0]};
  wire [11:0] s3 = {s3_t, s4[0:0]};
  reg [11:0] s3_d1; always @(posedge clk) s3_d1 <= s3;
  wire [3:0] s7_t = {1'd0, x0[5:3]} + 4'd15;
  wire [6:0] s7 = {s7_t, x0[2:0]};
  wire [6:0] s9_t = {3'd0, x2[5:2]} - {1'd0, x2[5:0]};
  wire [8:0] s9 = {s9_t, x2[1:0]};
  wire [8:0] s8_t = {{1{s9[8]}}, s9[8:1]} - {3'd0, x1[5:0]};
  wire [9:0] s8 = {s8_t, s9[0:0]};
  wire [9:0] s6_t = {{4{s7[6]}}, s7[6:1]} + s8[9:0];
  wire [10:0] s6 = {s6_t, s7[0:0]};
  reg [10:0] s6_d1; always @(posedge clk) s6_d1 <= s6;
  wire [10:0] s2_t = s3_d1[11:1] - s6_d1[10:0];
  wire [11:0] s2 = {s2_t, s3_d1[0:0]};
  wire [11:0] s1_t = 12'd0 - s2[11:0];
  wire [11:0] s1 = {s1_t};
  assign y = {{2{s1[11]}}, s1[11:0], 1'd0};
endmodule

(* keep_hierarchy *)
module status_f526821e398a (
  input wire clk,
  input wire [0:0] clear,
  input wire [0:0] valid,
  input wire [0:0] differ,
  output wire [0:0] flag,
  output wire [15:0] count
);
  wire raised = valid[0] & (|differ);
  reg sticky; always @(posedge clk) sticky <= ~clear[0] & (sticky | raised);
  reg [15:0] counter; always @(posedge clk) counter <= clear[0] ? 16'd0 : counter + {15'd0, raised & (counter != 16'd65535)};
  assign flag = sticky;
  assign count = counter;
endmodule

(* keep_hierarchy *)
module layer_7d482c417bb0 (
  input wire clk,
  input wire [29:0] x,
  input wire [2:0] guard,
  input wire [0:0] clear,
  output wire [44:0] y,
  input wire [0:0] valid,
  output wire [0:0] flag,
  output wire [15:0] count
);
  wire [15:0] count_net;
  wire [0:0] flag_net;
  wire [14:0] n0;
  neuron_1047c291426a n0_neuron (.clk(clk), .x0(x[5:0]), .x1(x[11:6]), .x2(x[17:12]), .x3(x[23:18]), .x4(x[29:24]), .y(n0));
  (* keep *) wire [0:0] n1_h2;
  (* keep *) wire [0:0] n1_h4;
  (* keep *) wire [0:0] n1_h5;
  (* keep *) wire [0:0] n1_c0;
  (* keep *) wire [0:0] n1_c1;
  wire [11:0] n1_low;
  shared_c00995efe31f n1_shared (.clk(clk), .x0(x[5:0]), .x1(x[11:6]), .x2(x[17:12]), .x3(x[23:18]), .x4(x[29:24]), .h2(n1_h2), .h4(n1_h4), .h5(n1_h5), .c0(n1_c0), .c1(n1_c1), .y(n1_low));
  (* keep *) wire [2:0] n1_y0;
  copy_3c1f5dd44828 n1_copy0 (.clk(clk), .guard(guard[0]), .h2(n1_h2), .h4(n1_h4), .h5(n1_h5), .c0(n1_c0), .c1(n1_c1), .y(n1_y0));
  (* keep *) wire [2:0] n1_y1;
  copy_3c1f5dd44828 n1_copy1 (.clk(clk), .guard(guard[1]), .h2(n1_h2), .h4(n1_h4), .h5(n1_h5), .c0(n1_c0), .c1(n1_c1), .y(n1_y1));
  (* keep *) wire [2:0] n1_y2;
  copy_3c1f5dd44828 n1_copy2 (.clk(clk), .guard(guard[2]), .h2(n1_h2), .h4(n1_h4), .h5(n1_h5), .c0(n1_c0), .c1(n1_c1), .y(n1_y2));
  (* keep *) wire n1_differ;
  (* keep *) wire [2:0] n1_voted;
  vote_0758b94a78a9 n1_voter (.a0(n1_y0), .a1(n1_y1), .a2(n1_y2), .y(n1_voted), .differ(n1_differ));
  wire [14:0] n1 = {n1_voted, n1_low};
  wire [14:0] n2;
  neuron_faec8a7d5831 n2_neuron (.clk(clk), .x0(x[5:0]), .x1(x[11:6]), .x2(x[17:12]), .x3(x[23:18]), .x4(x[29:24]), .y(n2));
  assign y = {n2, n1, n0};
  assign flag = flag_net;
  assign count = count_net;
  status_f526821e398a status (.clk(clk), .clear(clear), .valid(valid), .differ({n1_differ}), .flag(flag_net), .count(count_net));
endmodule

(* keep_hierarchy *)
module small_top (
  input wire clk,
  input wire [0:0] clear,
  input wire [0:0] valid,
  input wire [2:0] guard,
  input wire [35:0] x,
  output wire [0:0] fc0_flag,
  output wire [15:0] fc0_count,
  output wire [0:0] fc1_flag,
  output wire [15:0] fc1_count,
  output wire [44:0] y,
  output wire [0:0] ready
);
  wire [15:0] fc1_count_net;
  wire [0:0] fc1_flag_net;
  wire [15:0] fc0_count_net;
  wire [0:0] fc0_flag_net;
  reg [0:0] valid_d1; always @(posedge clk) valid_d1 <= valid;
  assign fc0_flag = fc0_flag_net;
  assign fc0_count = fc0_count_net;
  wire [69:0] fc0_y;
  layer_2a006be21f5a layer_fc0 (.clk(clk), .x(x), .guard(guard), .clear(clear), .valid(valid_d1), .flag(fc0_flag_net), .count(fc0_count_net), .y(fc0_y));
  wire [29:0] relu0_y;
  layer_162b9e522094 layer_relu0 (.clk(clk), .x0(fc0_y), .y(relu0_y));
  reg [29:0] relu0_y_d1; always @(posedge clk) relu0_y_d1 <= relu0_y;
  reg [0:0] valid_d2; always @(posedge clk) valid_d2 <= valid_d1;
  reg [0:0] valid_d3; always @(posedge clk) valid_d3 <= valid_d2;
  reg [0:0] valid_d4; always @(posedge clk) valid_d4 <= valid_d3;
  assign fc1_flag = fc1_flag_net;
  assign fc1_count = fc1_count_net;
  wire [44:0] fc1_y;
  layer_7d482c417bb0 layer_fc1 (.clk(clk), .x(relu0_y_d1), .guard(guard), .clear(clear), .valid(valid_d4), .flag(fc1_flag_net), .count(fc1_count_net), .y(fc1_y));
  reg [44:0] fc1_y_d1; always @(posedge clk) fc1_y_d1 <= fc1_y;
  assign y = fc1_y_d1;
  reg [0:0] valid_d5; always @(posedge clk) valid_d5 <= valid_d4;
  assign ready = valid_d5;
endmodule
